/* A producer or consumer that faults happen to: victim produce|consume|wait TOPIC TAG [fork|signals|FRAMES].
 *
 * Every byte is checked as src/payload.rs has it. "fork": a child inherits everything and lives on, until the input ends.
 * "signals": a timer interrupts every 4 ms. It leaves when its input ends. */
#define _GNU_SOURCE

#include <shmflow.h>

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 3000, LEAST = 24 };

static unsigned long interruptions;

static void interrupted(int number) {
    (void)number;
    interruptions++;
}

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, shmflow_last_error_message());
    return 1;
}

static uint64_t word(uint64_t tag, uint64_t count, uint64_t length, uint64_t at) {
    switch (at) {
    case 0: return tag;
    case 1: return count;
    case 2: return length;
    default: return ((tag << 56) ^ (count << 24) ^ at) * UINT64_C(0x9e3779b97f4a7c15);
    }
}

static int whole(const unsigned char *bytes, uint64_t length) {
    uint64_t tag, count, said;
    if (length < LEAST) {
        return 0;
    }
    memcpy(&tag, bytes, 8);
    memcpy(&count, bytes + 8, 8);
    memcpy(&said, bytes + 16, 8);
    if (said != length) {
        return 0;
    }
    for (uint64_t at = 0; 8 * at < length; at++) {
        uint64_t wanted = word(tag, count, length, at);
        uint64_t rest = length - 8 * at;
        if (memcmp(bytes + 8 * at, &wanted, rest < 8 ? rest : 8) != 0) {
            return 0;
        }
    }
    return 1;
}

static int due_to_leave(void) {
    struct pollfd input = {0, POLLIN, 0};
    return poll(&input, 1, 0) == 1;
}

/* A signal may end the sleep: it only makes the next frame early. */
static void pause_us(long us) {
    nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
}

static void begin(const char *how) {
    if (strcmp(how, "fork") == 0) {
        if (fork() == 0) {
            char byte;
            /* It has inherited everything, and touches nothing. */
            signal(SIGALRM, SIG_IGN);
            while (read(0, &byte, 1) > 0) {
            }
            _exit(0);
        }
    } else if (strcmp(how, "signals") == 0) {
        struct sigaction action = {.sa_handler = interrupted};
        sigaction(SIGALRM, &action, NULL);
        struct itimerval every = {{0, 4000}, {0, 4000}};
        setitimer(ITIMER_REAL, &every, NULL);
    }
    puts("ready");
    fflush(stdout);
}

static int produce(const char *topic, uint64_t tag, const char *how) {
    shmflow_producer_options options;
    shmflow_producer_options_init(&options, sizeof options);
    options.slot_capacity = MOST;
    shmflow_producer *producer;
    if (shmflow_producer_open(topic, &options, &producer) != SHMFLOW_OK) {
        return fail("open");
    }
    begin(how);
    long most = atol(how);
    uint64_t frames = 0;
    for (uint64_t count = 1; !due_to_leave() && (most == 0 || (long)count <= most); count++) {
        size_t length = LEAST + count * 97 % (MOST - LEAST);
        shmflow_claim *claim;
        shmflow_status status = shmflow_producer_claim(producer, length, &claim);
        if (status == SHMFLOW_OK) {
            unsigned char *data = shmflow_claim_data(claim);
            for (uint64_t at = 0; 8 * at < length; at++) {
                uint64_t value = word(tag, count, length, at);
                uint64_t rest = length - 8 * at;
                memcpy(data + 8 * at, &value, rest < 8 ? rest : 8);
            }
            status = shmflow_claim_publish(claim, NULL);
        }
        if (status == SHMFLOW_OK) {
            frames++;
        } else if (status != SHMFLOW_NO_SLOT) {
            return fail("publish");
        }
        pause_us(1000);
    }
    printf("{\"role\":\"produce\",\"frames\":%llu,\"interruptions\":%lu}\n", (unsigned long long)frames, interruptions);
    shmflow_producer_close(producer);
    return 0;
}

static int consume(const char *topic, const char *how) {
    shmflow_consumer_options options;
    shmflow_consumer_options_init(&options, sizeof options);
    options.connect_timeout_ms = strcmp(how, "once") == 0 ? 0 : 60000;
    shmflow_consumer *consumer;
    if (shmflow_consumer_open(topic, &options, &consumer) != SHMFLOW_OK) {
        return fail("open");
    }
    begin(how);
    uint64_t frames = 0, lost = 0, next = 0, wanted = UINT64_MAX;
    int silent = 0;
    /* When its input ends it goes on until it has one more frame: that shows that it did not hang. */
    while (frames < wanted) {
        if (wanted == UINT64_MAX && due_to_leave()) {
            wanted = frames + 1;
            continue;
        }
        shmflow_frame *frame;
        shmflow_status status = shmflow_consumer_receive(consumer, 200, &frame);
        if (status == SHMFLOW_TIMEOUT) {
            if (wanted != UINT64_MAX && ++silent == 75) {
                fprintf(stderr, "in 15 s no frame came, after %llu frames\n", (unsigned long long)frames);
                return 1;
            }
            continue;
        }
        if (status != SHMFLOW_OK) {
            return fail("receive");
        }
        uint64_t sequence = shmflow_frame_sequence(frame), missed = shmflow_frame_lost_before(frame);
        if (!whole(shmflow_frame_data(frame), shmflow_frame_length(frame)) || (next != 0 && sequence != next + missed)) {
            fprintf(stderr, "frame %llu is torn, or a gap was not told\n", (unsigned long long)sequence);
            return 1;
        }
        next = sequence + 1;
        lost += missed;
        frames++;
        shmflow_frame_release(frame);
    }
    printf("{\"role\":\"consume\",\"frames\":%llu,\"lost\":%llu,\"interruptions\":%lu}\n", (unsigned long long)frames,
           (unsigned long long)lost, interruptions);
    shmflow_consumer_close(consumer);
    return 0;
}

/* Waits on a topic that is silent while signals arrive: each wait goes on for as long as was asked. */
static int wait_in_silence(const char *topic) {
    shmflow_consumer_options options;
    shmflow_consumer_options_init(&options, sizeof options);
    shmflow_consumer *consumer;
    if (shmflow_consumer_open(topic, &options, &consumer) != SHMFLOW_OK) {
        return fail("open");
    }
    begin("signals");
    long least = -1;
    uint64_t waits = 0;
    while (waits == 0 || !due_to_leave()) {
        struct timespec from, to;
        shmflow_frame *frame;
        clock_gettime(CLOCK_MONOTONIC, &from);
        shmflow_status status = shmflow_consumer_receive(consumer, 300, &frame);
        clock_gettime(CLOCK_MONOTONIC, &to);
        if (status != SHMFLOW_TIMEOUT) {
            return fail("a wait in silence");
        }
        long took = (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000;
        least = least < 0 || took < least ? took : least;
        waits++;
    }
    printf("{\"role\":\"wait\",\"frames\":%llu,\"least_us\":%ld,\"interruptions\":%lu}\n", (unsigned long long)waits, least,
           interruptions);
    shmflow_consumer_close(consumer);
    return 0;
}

int main(int count, char **words) {
    if (count < 4) {
        fprintf(stderr, "usage: %s produce|consume|wait TOPIC TAG [fork|signals|once|FRAMES]\n", words[0]);
        return 2;
    }
    const char *how = count > 4 ? words[4] : "";
    if (strcmp(words[1], "wait") == 0) {
        return wait_in_silence(words[2]);
    }
    return strcmp(words[1], "produce") == 0 ? produce(words[2], strtoull(words[3], NULL, 10), how) : consume(words[2], how);
}
