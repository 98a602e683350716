/* A cycle's I/O by open62541's C client: a contestant of `cargo xtask bench opcua`.
 *
 *     client --url opc.tcp://127.0.0.1:4840 [--security encrypt --pki DIR]
 *
 * Connects, says `ready`, and reads lines of two numbers: how many cycles, and their period in nanoseconds (0: one after
 * the other). The answer is one line with the nanoseconds that each of them took. A cycle writes 8 doubles and then reads
 * 50. It ends with standard input. */

#include "peer.h"

#include <open62541/client.h>
#include <open62541/client_config_default.h>
#include <open62541/plugin/log_stdout.h>

#include <time.h>

#define READ 50
#define WRITTEN 8
#define SECOND_NS 1000000000L

static UA_Client *connect_to(const char *url, const char *security, const char *pki) {
    UA_ClientConfig config;
    memset(&config, 0, sizeof(config));
    config.logging = UA_Log_Stdout_new(UA_LOGLEVEL_FATAL);
    if(strcmp(security, "encrypt") == 0) {
        UA_ByteString certificate = load(pki, "client/cert.der"), key = load(pki, "private/client.pem");
        must(UA_ClientConfig_setDefaultEncryption(&config, certificate, key, NULL, 0, NULL, 0), "encryption");
        config.securityMode = UA_MESSAGESECURITYMODE_SIGNANDENCRYPT;
        config.securityPolicyUri = UA_STRING_ALLOC(BASIC256SHA256);
        UA_String_clear(&config.clientDescription.applicationUri);
        config.clientDescription.applicationUri = UA_STRING_ALLOC("urn:corerl:bench");
    } else {
        must(UA_ClientConfig_setDefault(&config), "configuration");
    }
    UA_Client *client = UA_Client_newWithConfig(&config);
    must(UA_Client_connect(client, url), url);
    return client;
}

static void cycle(UA_Client *client, const UA_WriteRequest *write, const UA_ReadRequest *read) {
    UA_WriteResponse written = UA_Client_Service_write(client, *write);
    must(written.responseHeader.serviceResult, "write");
    for(size_t i = 0; i < written.resultsSize; i++)
        must(written.results[i], "write of a node");
    UA_WriteResponse_clear(&written);
    UA_ReadResponse answer = UA_Client_Service_read(client, *read);
    must(answer.responseHeader.serviceResult, "read");
    for(size_t i = 0; i < answer.resultsSize; i++)
        must(answer.results[i].hasValue ? UA_STATUSCODE_GOOD : answer.results[i].status, "read of a node");
    UA_ReadResponse_clear(&answer);
}

static long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static void sleep_until(long ns) {
    struct timespec until = {ns / SECOND_NS, ns % SECOND_NS};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

int main(int argc, char **argv) {
    UA_Client *client = connect_to(option(argc, argv, "--url", ""), option(argc, argv, "--security", "none"),
                                   option(argc, argv, "--pki", "."));
    UA_UInt16 index;
    must(UA_Client_getNamespaceIndex(client, UA_STRING(NAMESPACE), &index), NAMESPACE);
    char *names[] = {"saturation.u", "saturation.level", "saturation.level_sp", "saturation.Reward"};
    UA_ReadValueId read_items[READ];
    for(int i = 0; i < READ; i++) {
        UA_ReadValueId_init(&read_items[i]);
        read_items[i].nodeId = UA_NODEID_STRING(index, names[i % 4]);
        read_items[i].attributeId = UA_ATTRIBUTEID_VALUE;
    }
    double value = 0.25;
    UA_WriteValue write_items[WRITTEN];
    for(int i = 0; i < WRITTEN; i++) {
        UA_WriteValue_init(&write_items[i]);
        write_items[i].nodeId = UA_NODEID_STRING(index, names[0]);
        write_items[i].attributeId = UA_ATTRIBUTEID_VALUE;
        write_items[i].value.hasValue = true;
        UA_Variant_setScalar(&write_items[i].value.value, &value, &UA_TYPES[UA_TYPES_DOUBLE]);
    }
    UA_ReadRequest read = {.timestampsToReturn = UA_TIMESTAMPSTORETURN_SOURCE, .nodesToRead = read_items, .nodesToReadSize = READ};
    UA_WriteRequest write = {.nodesToWrite = write_items, .nodesToWriteSize = WRITTEN};
    cycle(client, &write, &read);
    printf("ready\n");
    fflush(stdout);
    long cycles, period_ns;
    while(scanf("%ld %ld", &cycles, &period_ns) == 2) {
        long next = now_ns();
        for(long i = 0; i < cycles; i++) {
            if(period_ns > 0)
                sleep_until(next += period_ns);
            long start = now_ns();
            cycle(client, &write, &read);
            printf("%ld ", now_ns() - start);
        }
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
