/* A small plant behind open62541's OPC UA server: a peer that shares no code with the runtime.
 *
 * It offers the nodes of the simulated plant `saturation`, counts what is written, and prints JSON lines on standard
 * output: first where it listens, then the counts, ten times a second. It ends with standard input or a signal. Its
 * options are those of asyncua/server.py, and --items N for so many more values that change a hundred times a second. */

#include "peer.h"

#include <open62541/plugin/accesscontrol_default.h>
#include <open62541/plugin/certificategroup_default.h>
#include <open62541/plugin/log_stdout.h>
#include <open62541/server.h>
#include <open62541/server_config_default.h>

#include <arpa/inet.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define STEP_MS 50.0
#define ITEM_BYTES 64
/* How often the values of --items change, and how often subscribers may be told. */
#define FLOW_MS 10.0
#define FASTEST_MS 5.0

/* The vessel: what is written moves its level. */
static UA_UInt16 plant_namespace;
static double level = 0.0;
static unsigned long steps = 0, setpoints = 0, heartbeats = 0;
static volatile bool let_go = false;
/* Values that change all the time, for whoever subscribes to many. */
static int items = 0;

/* Whoever started this program holds the other end of standard input. */
static void *tether(void *nothing) {
    char byte;
    while(read(0, &byte, 1) > 0) {}
    let_go = true;
    return nothing;
}

static UA_UInt16 free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int probe = socket(AF_INET, SOCK_STREAM, 0);
    bind(probe, (struct sockaddr *)&address, size);
    getsockname(probe, (struct sockaddr *)&address, &size);
    close(probe);
    return ntohs(address.sin_port);
}

static UA_NodeId node(const char *name) {
    static char item[ITEM_BYTES];
    snprintf(item, sizeof(item), "saturation.%s", name);
    return UA_NODEID_STRING(plant_namespace, item);
}

static void count(UA_Server *server, const UA_NodeId *session, void *context, const UA_NodeId *node, void *counter,
                  const UA_NumericRange *range, const UA_DataValue *value) {
    (void)server, (void)session, (void)context, (void)node, (void)range, (void)value;
    ++*(unsigned long *)counter;
}

static void add(UA_Server *server, const char *name, void *value, int type, unsigned long *counter) {
    UA_VariableAttributes attributes = UA_VariableAttributes_default;
    attributes.displayName = UA_LOCALIZEDTEXT("", (char *)(uintptr_t)name);
    attributes.dataType = UA_TYPES[type].typeId;
    attributes.accessLevel = UA_ACCESSLEVELMASK_READ | (counter ? UA_ACCESSLEVELMASK_WRITE : 0);
    UA_Variant_setScalar(&attributes.value, value, &UA_TYPES[type]);
    must(UA_Server_addVariableNode(server, node(name), UA_NODEID_STRING(plant_namespace, "saturation"),
                                   UA_NS0ID(HASCOMPONENT), UA_QUALIFIEDNAME(plant_namespace, (char *)(uintptr_t)name),
                                   UA_NS0ID(BASEDATAVARIABLETYPE), attributes, counter, NULL),
         name);
    if(counter) {
        UA_ValueSourceNotifications notifications = {.onWrite = count};
        must(UA_Server_setVariableNode_internalValueSource(server, node(name), NULL, &notifications), name);
    }
}

static void build(UA_Server *server, int namespaces_before) {
    for(int i = 0; i < namespaces_before; i++) {
        char uri[ITEM_BYTES];
        snprintf(uri, sizeof(uri), "urn:corerl:other:%d", i);
        UA_Server_addNamespace(server, uri);
    }
    plant_namespace = UA_Server_addNamespace(server, NAMESPACE);
    UA_ObjectAttributes folder = UA_ObjectAttributes_default;
    folder.displayName = UA_LOCALIZEDTEXT("", "saturation");
    must(UA_Server_addObjectNode(server, UA_NODEID_STRING(plant_namespace, "saturation"), UA_NS0ID(OBJECTSFOLDER),
                                 UA_NS0ID(ORGANIZES), UA_QUALIFIEDNAME(plant_namespace, "saturation"),
                                 UA_NS0ID(FOLDERTYPE), folder, NULL, NULL),
         "saturation");
    double u = 0.25, setpoint = 0.5, zero = 0.0;
    UA_UInt16 heartbeat = 0;
    add(server, "u", &u, UA_TYPES_DOUBLE, &setpoints);
    add(server, "level", &zero, UA_TYPES_DOUBLE, NULL);
    add(server, "level_sp", &setpoint, UA_TYPES_DOUBLE, NULL);
    add(server, "Reward", &zero, UA_TYPES_DOUBLE, NULL);
    add(server, "Heartbeat", &heartbeat, UA_TYPES_UINT16, &heartbeats);
}

static void show(UA_Server *server, const char *name, double value) {
    UA_Variant variant;
    UA_Variant_setScalar(&variant, &value, &UA_TYPES[UA_TYPES_DOUBLE]);
    must(UA_Server_writeValue(server, node(name), variant), name);
}

static void item_name(char *name, int item) {
    snprintf(name, ITEM_BYTES / 2, "item.%d", item);
}

static void flow(UA_Server *server, void *nothing) {
    (void)nothing;
    static double value = 0.0;
    value += 1.0;
    char name[ITEM_BYTES / 2];
    for(int i = 0; i < items; i++) {
        item_name(name, i);
        show(server, name, value);
    }
}

static void add_items(UA_Server *server) {
    double zero = 0.0;
    char name[ITEM_BYTES / 2];
    for(int i = 0; i < items; i++) {
        item_name(name, i);
        add(server, name, &zero, UA_TYPES_DOUBLE, NULL);
    }
    if(items > 0)
        must(UA_Server_addRepeatedCallback(server, flow, NULL, FLOW_MS, NULL), "items");
}

static void advance(UA_Server *server, void *nothing) {
    (void)nothing;
    UA_Variant u;
    must(UA_Server_readValue(server, node("u"), &u), "u");
    double decay = 0.75 + 0.15 * cos(2 * M_PI * (double)steps / 100);
    level = fmin(fmax(decay * level + *(double *)u.data, 0.0), 1.0);
    UA_Variant_clear(&u);
    show(server, "level", level);
    show(server, "Reward", -fabs(level - 0.5));
    if(++steps % 2 == 0) {
        printf("{\"setpoints\": %lu, \"heartbeats\": %lu, \"level\": %f}\n", setpoints, heartbeats, level);
        fflush(stdout);
    }
}

/* Those whose certificates are in this file, and nobody else. */
static void trust(UA_ServerConfig *config, UA_CertificateGroup *group, UA_NodeId id, const char *pki,
                  const char *name) {
    UA_ByteString certificate = load(pki, name);
    UA_TrustListDataType list;
    UA_TrustListDataType_init(&list);
    list.specifiedLists = UA_TRUSTLISTMASKS_TRUSTEDCERTIFICATES;
    list.trustedCertificates = &certificate;
    list.trustedCertificatesSize = 1;
    must(UA_CertificateGroup_Memorystore(group, &id, &list, config->logging, NULL), name);
    UA_ByteString_clear(&certificate);
}

static void secure(UA_ServerConfig *config, const char *pki, UA_MessageSecurityMode mode) {
    UA_ByteString certificate = load(pki, "server/cert.der"), key = load(pki, "private/server.pem");
    config->securityPolicyNoneDiscoveryOnly = true;
    must(UA_ServerConfig_addSecurityPolicyBasic256Sha256(config, &certificate, &key), "Basic256Sha256");
    must(UA_ServerConfig_addEndpoint(config, UA_STRING(BASIC256SHA256), mode), "endpoint");
    trust(config, &config->secureChannelPKI, UA_NS0ID(SERVERCONFIGURATION_CERTIFICATEGROUPS_DEFAULTAPPLICATIONGROUP),
          pki, "client/cert.der");
    UA_ByteString_clear(&certificate);
    UA_ByteString_clear(&key);
}

static void admit(UA_ServerConfig *config, const char *pki, const char *users, const char *user, const char *password) {
    UA_UsernamePasswordLogin login = {UA_STRING((char *)(uintptr_t)user), UA_BYTESTRING((char *)(uintptr_t)password)};
    bool by_password = strcmp(users, "password") == 0, by_certificate = strcmp(users, "certificate") == 0;
    if(by_certificate)
        trust(config, &config->sessionPKI, UA_NS0ID(SERVERCONFIGURATION_CERTIFICATEGROUPS_DEFAULTUSERTOKENGROUP), pki,
              "user/cert.der");
    UA_String policy = UA_STRING(BASIC256SHA256);
    bool anonymous = !by_password && !by_certificate;
    must(UA_AccessControl_default(config, anonymous, anonymous ? NULL : &policy, by_password ? 1 : 0, &login), "users");
}

static UA_ServerConfig configure(int argc, char **argv, UA_UInt16 port) {
    const char *security = option(argc, argv, "--security", "none"), *pki = option(argc, argv, "--pki", ".");
    UA_ServerConfig config;
    memset(&config, 0, sizeof(config));
    config.logging = UA_Log_Stdout_new(UA_LOGLEVEL_ERROR);
    must(UA_ServerConfig_setBasics_withPort(&config, port), "configuration");
    UA_String_clear(&config.applicationDescription.applicationUri);
    config.applicationDescription.applicationUri = UA_STRING_ALLOC("urn:corerl:interop:server");
    must(UA_ServerConfig_addSecurityPolicyNone(&config, NULL), "None");
    if(strcmp(security, "none") == 0)
        must(UA_ServerConfig_addEndpoint(&config, UA_SECURITY_POLICY_NONE_URI, UA_MESSAGESECURITYMODE_NONE), "endpoint");
    else
        secure(&config, pki,
               strcmp(security, "sign") == 0 ? UA_MESSAGESECURITYMODE_SIGN : UA_MESSAGESECURITYMODE_SIGNANDENCRYPT);
    admit(&config, pki, option(argc, argv, "--users", "anonymous"), option(argc, argv, "--user", ""),
          option(argc, argv, "--password", ""));
    config.publishingIntervalLimits.min = config.samplingIntervalLimits.min = FASTEST_MS;
    int lifetime_ms = atoi(option(argc, argv, "--token-lifetime", "0"));
    if(lifetime_ms > 0)
        config.maxSecurityTokenLifetime = (UA_UInt32)lifetime_ms;
    return config;
}

int main(int argc, char **argv) {
    UA_UInt16 port = (UA_UInt16)atoi(option(argc, argv, "--port", "0"));
    if(port == 0)
        port = free_port();
    /* Nobody may want the counts. */
    signal(SIGPIPE, SIG_IGN);
    UA_ServerConfig config = configure(argc, argv, port);
    UA_Server *server = UA_Server_newWithConfig(&config);
    build(server, atoi(option(argc, argv, "--namespaces-before", "0")));
    items = atoi(option(argc, argv, "--items", "0"));
    add_items(server);
    must(UA_Server_addRepeatedCallback(server, advance, NULL, STEP_MS, NULL), "steps");
    must(UA_Server_run_startup(server), "start");
    pthread_t thread;
    pthread_create(&thread, NULL, tether, NULL);
    printf("{\"url\": \"opc.tcp://127.0.0.1:%d\", \"port\": %d}\n", port, port);
    fflush(stdout);
    while(!let_go)
        UA_Server_run_iterate(server, true);
    UA_Server_run_shutdown(server);
    UA_Server_delete(server);
    return 0;
}
