/* What publishing a small frame costs its producer: prints nanoseconds of processor time a frame, of a window of a tenth of a second,
 * for each line that it reads. */
#include <shmflow.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int main(int count, char **arguments) {
    shmflow_producer *producer;
    if (count != 2 || shmflow_producer_open(arguments[1], NULL, &producer) != SHMFLOW_OK) {
        fprintf(stderr, "%s\n", count == 2 ? shmflow_last_error_message() : "usage: publish TOPIC");
        return EXIT_FAILURE;
    }
    char line[16], frame[64] = "frame";
    while (fgets(line, sizeof line, stdin) != NULL) {
        uint64_t frames = 0, start = now(), end = start;
        while (end - start < 100000000u) {
            for (int i = 0; i < 1000; i++) {
                if (shmflow_producer_write(producer, frame, sizeof frame, NULL, NULL) != SHMFLOW_OK) {
                    return EXIT_FAILURE;
                }
            }
            frames += 1000;
            end = now();
        }
        printf("%.2f\n", (double)(end - start) / (double)frames);
        fflush(stdout);
    }
    shmflow_producer_close(producer);
    return EXIT_SUCCESS;
}
