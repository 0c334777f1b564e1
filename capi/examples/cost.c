/* What a frame costs, by this library: cost [FRAMES].
 *
 * In one process, a producer and a consumer: processor time to publish and to receive a frame of 1080p whose pixels
 * nobody touches, and how long a frame takes to somebody who sleeps, in receive and in poll.
 */
#define _POSIX_C_SOURCE 200809L

#include <shmflow.h>

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WIDTH = 1920, HEIGHT = 1080, BYTES = WIDTH * HEIGHT * 3, NAPS = 300 };

static int64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void check(shmflow_status status) {
    if (status != SHMFLOW_OK) {
        fprintf(stderr, "%s: %s\n", shmflow_status_name(status), shmflow_last_error_message());
        exit(1);
    }
}

/* Processor time of a frame, to publish it and to receive it. */
static void untouched(shmflow_producer *producer, shmflow_consumer *consumer, long frames, int described) {
    shmflow_metadata metadata;
    shmflow_metadata_init(&metadata, sizeof metadata);
    metadata.format = "BGR";
    metadata.width = WIDTH;
    metadata.height = HEIGHT;
    metadata.fps_n = 30;
    int64_t publishing = 0, receiving = 0;
    for (long n = 0; n < frames; n++) {
        int64_t start = now(CLOCK_PROCESS_CPUTIME_ID);
        shmflow_claim *claim;
        check(shmflow_producer_claim(producer, BYTES, &claim));
        if (described) {
            metadata.pts = (uint64_t)n;
            check(shmflow_claim_set_metadata(claim, &metadata));
        }
        check(shmflow_claim_publish(claim, NULL));
        int64_t published = now(CLOCK_PROCESS_CPUTIME_ID);
        shmflow_frame *frame;
        check(shmflow_consumer_receive(consumer, SHMFLOW_FOREVER, &frame));
        if (described) {
            shmflow_plane plane;
            check(shmflow_frame_plane(frame, 0, &plane, sizeof plane));
        }
        shmflow_frame_release(frame);
        receiving += now(CLOCK_PROCESS_CPUTIME_ID) - published;
        publishing += published - start;
    }
    printf("%-22s publish %5" PRId64 " ns, receive %5" PRId64 " ns of CPU a frame\n",
           described ? "1080p with metadata:" : "1080p, bare bytes:", publishing / frames, receiving / frames);
}

struct sleeper {
    shmflow_consumer *consumer;
    int polls;
    uint64_t last;
    int count;
    int64_t delays[NAPS];
};

static void *sleeps(void *argument) {
    struct sleeper *sleeper = argument;
    struct pollfd watched = {-1, POLLIN, 0};
    if (sleeper->polls) {
        check(shmflow_consumer_fd(sleeper->consumer, &watched.fd));
    }
    /* On a busy machine some are lost, but never the last one. */
    for (uint64_t sequence = 0; sequence < sleeper->last;) {
        shmflow_frame *frame;
        if (sleeper->polls) {
            poll(&watched, 1, -1);
            shmflow_status status = shmflow_consumer_try_receive(sleeper->consumer, &frame);
            if (status == SHMFLOW_TIMEOUT) {
                continue;
            }
            check(status);
        } else {
            check(shmflow_consumer_receive(sleeper->consumer, SHMFLOW_FOREVER, &frame));
        }
        int64_t sent;
        memcpy(&sent, shmflow_frame_data(frame), sizeof sent);
        sleeper->delays[sleeper->count++] = now(CLOCK_MONOTONIC) - sent;
        sequence = shmflow_frame_sequence(frame);
        shmflow_frame_release(frame);
    }
    return NULL;
}

static int rising(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* From publication to somebody who slept. */
static void asleep(shmflow_producer *producer, shmflow_consumer *consumer, int polls) {
    shmflow_producer_stats stats;
    check(shmflow_producer_get_stats(producer, &stats, sizeof stats));
    struct sleeper sleeper = {consumer, polls, stats.published + NAPS, 0, {0}};
    pthread_t thread;
    pthread_create(&thread, NULL, sleeps, &sleeper);
    for (int n = 0; n < NAPS; n++) {
        nanosleep(&(struct timespec){0, 2000000}, NULL);
        int64_t sent = now(CLOCK_MONOTONIC);
        check(shmflow_producer_write(producer, &sent, sizeof sent, NULL, NULL));
    }
    pthread_join(thread, NULL);
    qsort(sleeper.delays, (size_t)sleeper.count, sizeof sleeper.delays[0], rising);
    printf("%-22s %5.1f us from publication to it (median), %5.1f us (90 %%)\n",
           polls ? "asleep in poll:" : "asleep in receive:", (double)sleeper.delays[sleeper.count / 2] / 1e3,
           (double)sleeper.delays[sleeper.count * 9 / 10] / 1e3);
}

int main(int count, char **words) {
    long frames = count > 1 ? atol(words[1]) : 20000;
    shmflow_producer_options options;
    shmflow_producer_options_init(&options, sizeof options);
    options.slot_capacity = BYTES;
    options.depth = 4;
    shmflow_producer *producer;
    shmflow_consumer *consumer;
    check(shmflow_producer_open("cost", &options, &producer));
    check(shmflow_consumer_open("cost", NULL, &consumer));
    untouched(producer, consumer, frames, 0);
    untouched(producer, consumer, frames, 1);
    asleep(producer, consumer, 0);
    asleep(producer, consumer, 1);
    shmflow_consumer_close(consumer);
    shmflow_producer_close(producer);
    return 0;
}
