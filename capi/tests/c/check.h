/* What the test programs share. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmflow.h"

/* Ends the program, with the place and what the library says, unless the condition holds. */
#define CHECK(condition)                                                                                      \
    do {                                                                                                      \
        if (!(condition)) {                                                                                   \
            fprintf(stderr, "%s:%d: not so: %s (%s: %s)\n", __FILE__, __LINE__, #condition,                   \
                    shmflow_status_name(shmflow_last_error_status()), shmflow_last_error_message());                       \
            exit(1);                                                                                          \
        }                                                                                                     \
    } while (0)

/* The call gives this status, and no other. */
#define GIVES(status, call)                                                                                   \
    do {                                                                                                      \
        shmflow_status given_ = (call);                                                                       \
        if (given_ != (status)) {                                                                             \
            fprintf(stderr, "%s:%d: %s gives %s, and not %s (%s)\n", __FILE__, __LINE__, #call,                \
                    shmflow_status_name(given_), shmflow_status_name(status), shmflow_last_error_message());          \
            exit(1);                                                                                          \
        }                                                                                                     \
    } while (0)

#define OK(call) GIVES(SHMFLOW_OK, call)

#endif
