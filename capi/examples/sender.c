/* Sends a moving bar as video: sender TOPIC [FRAMES].
 *
 * Watch it:  gst-launch-1.0 shmflowsrc topic=TOPIC ! videoconvert ! autovideosink
 */
#define _POSIX_C_SOURCE 200809L

#include <shmflow.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WIDTH = 640, HEIGHT = 480, FPS = 30, NS = 1000000000 };

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, shmflow_last_error_message());
    return 1;
}

int main(int count, char **words) {
    if (count < 2) {
        fprintf(stderr, "usage: %s TOPIC [FRAMES]\n", words[0]);
        return 2;
    }
    long frames = count > 2 ? atol(words[2]) : 300;

    shmflow_producer *producer;
    if (shmflow_producer_open(words[1], NULL, &producer) != SHMFLOW_OK) {
        return fail("open");
    }
    shmflow_metadata metadata;
    shmflow_metadata_init(&metadata, sizeof metadata);
    metadata.format = "GRAY8";
    metadata.width = WIDTH;
    metadata.height = HEIGHT;
    metadata.fps_n = FPS;

    for (long n = 0; n < frames; n++) {
        shmflow_claim *claim;
        if (shmflow_producer_claim(producer, WIDTH * HEIGHT, &claim) != SHMFLOW_OK) {
            return fail("claim");
        }
        /* Straight into shared memory. */
        unsigned char *pixels = shmflow_claim_data(claim);
        for (size_t y = 0; y < HEIGHT; y++) {
            memset(pixels + y * WIDTH, 32, WIDTH);
            memset(pixels + y * WIDTH + (size_t)(n * 4 % (WIDTH - 40)), 220, 40);
        }
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        metadata.capture_time = (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
        metadata.pts = (uint64_t)n * NS / FPS;
        if (shmflow_claim_set_metadata(claim, &metadata) != SHMFLOW_OK) {
            return fail("metadata");
        }
        if (shmflow_claim_publish(claim, NULL) != SHMFLOW_OK) {
            return fail("publish");
        }
        nanosleep(&(struct timespec){0, NS / FPS}, NULL);
    }
    shmflow_producer_end(producer);
    shmflow_producer_close(producer);
    return 0;
}
