/* What the server and the client have in common: arguments, files, failing. */

#ifndef PEER_H
#define PEER_H

#include <open62541/types.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMESPACE "urn:corerl:plant"
#define BASIC256SHA256 "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"

/* Ends the program unless all is well. */
static inline void must(UA_StatusCode status, const char *what) {
    if(status == UA_STATUSCODE_GOOD)
        return;
    fprintf(stderr, "%s: %s\n", what, UA_StatusCode_name(status));
    exit(1);
}

/* The value of an option, or what stands in for it. */
static inline const char *option(int argc, char **argv, const char *name, const char *otherwise) {
    for(int i = 1; i + 1 < argc; i++)
        if(strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return otherwise;
}

/* A file in a directory, whole. */
static inline UA_ByteString load(const char *directory, const char *name) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    UA_ByteString bytes = UA_BYTESTRING_NULL;
    must(UA_ByteString_allocBuffer(&bytes, 65536), "memory");
    bytes.length = file ? fread(bytes.data, 1, bytes.length, file) : 0;
    if(bytes.length == 0) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(1);
    }
    fclose(file);
    return bytes;
}

#endif
