/* Parts that processes play: roles ROLE TOPIC [NUMBER]. They say a line when they are ready. */
#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "check.h"

static void say(const char *what) {
    puts(what);
    fflush(stdout);
}

static shmflow_consumer *consumer_of(const char *topic) {
    shmflow_consumer_options options;
    OK(shmflow_consumer_options_init(&options, sizeof options));
    options.connect_timeout_ms = 30000;
    shmflow_consumer *consumer;
    OK(shmflow_consumer_open(topic, &options, &consumer));
    return consumer;
}

/* The byte at place i of frame number n. */
static unsigned char pattern(uint64_t n, size_t i) {
    return (unsigned char)(n * 31 + i);
}

static void check_frame(const shmflow_frame *frame) {
    const unsigned char *data = (const unsigned char *)shmflow_frame_data(frame);
    for (size_t i = 0; i < shmflow_frame_length(frame); i++) {
        CHECK(data[i] == pattern(shmflow_frame_sequence(frame), i));
    }
}

/* Sends so many frames, in place, and ends the stream. Waits for a consumer, and for each line of input. */
static void send_frames(const char *topic, long count) {
    shmflow_producer_options options;
    OK(shmflow_producer_options_init(&options, sizeof options));
    options.depth = 200;
    options.slot_capacity = 4096;
    options.description = "Numbers from C";
    shmflow_producer *producer;
    OK(shmflow_producer_open(topic, &options, &producer));
    say("ready");
    char line[16];
    CHECK(fgets(line, sizeof line, stdin) != NULL);
    for (long n = 1; n <= count; n++) {
        shmflow_claim *claim;
        size_t length = (size_t)(1000 + n);
        OK(shmflow_producer_claim(producer, length, &claim));
        unsigned char *data = (unsigned char *)shmflow_claim_data(claim);
        for (size_t i = 0; i < length; i++) {
            data[i] = pattern((uint64_t)n, i);
        }
        uint64_t sequence;
        OK(shmflow_claim_publish(claim, &sequence));
        CHECK(sequence == (uint64_t)n);
    }
    OK(shmflow_producer_end(producer));
    shmflow_producer_close(producer);
}

/* Receives until the end of the stream, and says how many frames there were. */
static void receive_frames(const char *topic, int polling) {
    shmflow_consumer *consumer = consumer_of(topic);
    struct pollfd watched = {-1, POLLIN, 0};
    if (polling) {
        OK(shmflow_consumer_fd(consumer, &watched.fd));
    }
    say("ready");
    unsigned long count = 0;
    for (;;) {
        shmflow_frame *frame;
        shmflow_status status;
        if (polling) {
            CHECK(poll(&watched, 1, 30000) == 1);
            status = shmflow_consumer_try_receive(consumer, &frame);
            if (status == SHMFLOW_TIMEOUT) {
                continue;
            }
        } else {
            status = shmflow_consumer_receive(consumer, 30000, &frame);
        }
        if (status == SHMFLOW_ENDED) {
            break;
        }
        OK(status);
        check_frame(frame);
        count++;
        CHECK(shmflow_frame_sequence(frame) == count && shmflow_frame_lost_before(frame) == 0);
        shmflow_frame_release(frame);
    }
    printf("%lu frames\n", count);
    shmflow_consumer_close(consumer);
}

/* Takes so many frames and keeps them until it is killed. */
static void hold(const char *topic, long count) {
    shmflow_consumer *consumer = consumer_of(topic);
    for (long i = 0; i < count; i++) {
        shmflow_frame *frame;
        OK(shmflow_consumer_receive(consumer, 30000, &frame));
        CHECK(shmflow_frame_is_copy(frame) == 0);
    }
    say("holding");
    for (;;) {
        pause();
    }
}

/* Forks with everything open: the child is refused, the parent goes on. */
static void fork_away(const char *topic) {
    shmflow_producer *producer;
    OK(shmflow_producer_open(topic, NULL, &producer));
    shmflow_consumer *consumer = consumer_of(topic);
    OK(shmflow_producer_write(producer, "x", 1, NULL, NULL));
    shmflow_frame *frame;
    OK(shmflow_consumer_receive(consumer, 30000, &frame));
    int fd;
    OK(shmflow_consumer_fd(consumer, &fd));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        shmflow_frame *none;
        GIVES(SHMFLOW_FORKED, shmflow_producer_write(producer, "y", 1, NULL, NULL));
        GIVES(SHMFLOW_FORKED, shmflow_consumer_try_receive(consumer, &none));
        GIVES(SHMFLOW_FORKED, shmflow_consumer_fd(consumer, &fd));
        CHECK(strstr(shmflow_last_error_message(), "fork") != NULL);
        CHECK(memcmp(shmflow_frame_data(frame), "x", 1) == 0);
        shmflow_frame_release(frame);
        shmflow_consumer_close(consumer);
        shmflow_producer_close(producer);
        say("child");
        _exit(0);
    }
    char line[16];
    CHECK(fgets(line, sizeof line, stdin) != NULL);
    OK(shmflow_producer_write(producer, "z", 1, NULL, NULL));
    CHECK(memcmp(shmflow_frame_data(frame), "x", 1) == 0);
    shmflow_frame_release(frame);
    OK(shmflow_consumer_receive(consumer, 30000, &frame));
    CHECK(memcmp(shmflow_frame_data(frame), "z", 1) == 0);
    shmflow_frame_release(frame);
    shmflow_consumer_close(consumer);
    shmflow_producer_close(producer);
    say("parent");
}

static shmflow_consumer *interrupted;

static void interrupt(int signal) {
    (void)signal;
    shmflow_consumer_cancel(interrupted);
}

/* Waits for ever, until Ctrl-C. */
static void wait_for_signal(const char *topic) {
    interrupted = consumer_of(topic);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = interrupt;
    CHECK(sigaction(SIGINT, &action, NULL) == 0);
    say("ready");
    shmflow_frame *frame;
    GIVES(SHMFLOW_CANCELLED, shmflow_consumer_receive(interrupted, SHMFLOW_FOREVER, &frame));
    shmflow_consumer_close(interrupted);
    say("interrupted");
}

int main(int count, char **words) {
    CHECK(count >= 3);
    const char *role = words[1], *topic = words[2];
    long number = count > 3 ? strtol(words[3], NULL, 10) : 0;
    if (strcmp(role, "send") == 0) {
        send_frames(topic, number);
    } else if (strcmp(role, "receive") == 0) {
        receive_frames(topic, 0);
    } else if (strcmp(role, "poll") == 0) {
        receive_frames(topic, 1);
    } else if (strcmp(role, "hold") == 0) {
        hold(topic, number);
    } else if (strcmp(role, "wait") == 0) {
        wait_for_signal(topic);
    } else if (strcmp(role, "fork") == 0) {
        fork_away(topic);
    } else {
        fprintf(stderr, "no role %s\n", role);
        return 2;
    }
    return 0;
}
