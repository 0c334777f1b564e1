/* Consumers that are there before their topics, and several at a time. */
#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <poll.h>
#include <pthread.h>

#include "check.h"

enum { MANY = 130 };

static shmflow_consumer *early(const char *topic) {
    shmflow_consumer_options options;
    OK(shmflow_consumer_options_init(&options, sizeof options));
    options.allow_missing = 1;
    shmflow_consumer *consumer;
    OK(shmflow_consumer_open(topic, &options, &consumer));
    return consumer;
}

static shmflow_producer *producer_of(const char *topic) {
    shmflow_producer *producer;
    OK(shmflow_producer_open(topic, NULL, &producer));
    return producer;
}

static int readable(int fd, int limit_ms) {
    struct pollfd watched = {fd, POLLIN, 0};
    return poll(&watched, 1, limit_ms) == 1;
}

/* The library's threads that wait for consumers; others come and go. */
static unsigned watchers(void) {
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    unsigned count = 0;
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[300], name[20] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        FILE *file = fopen(path, "r");
        if (file != NULL) {
            count += fgets(name, sizeof name, file) != NULL && strcmp(name, "shmflow-watch\n") == 0;
            fclose(file);
        }
    }
    closedir(tasks);
    return count;
}

static void *receive_one(void *consumer) {
    shmflow_frame *frame;
    OK(shmflow_consumer_receive((const shmflow_consumer *)consumer, 30000, &frame));
    shmflow_frame_release(frame);
    return NULL;
}

static void before_the_topic(void) {
    shmflow_consumer *consumer = early("late");
    shmflow_frame *frame;
    GIVES(SHMFLOW_TIMEOUT, shmflow_consumer_try_receive(consumer, &frame));
    GIVES(SHMFLOW_TIMEOUT, shmflow_consumer_receive(consumer, 1, &frame));
    CHECK(strstr(shmflow_last_error_message(), "producer") != NULL);
    int fd, same;
    OK(shmflow_consumer_fd(consumer, &fd));
    GIVES(SHMFLOW_TIMEOUT, shmflow_consumer_try_receive(consumer, &frame));
    CHECK(!readable(fd, 50));

    /* It knows nothing yet, and does what needs no topic. */
    shmflow_consumer_stats stats;
    OK(shmflow_consumer_get_stats(consumer, &stats, sizeof stats));
    CHECK(stats.position == 0 && stats.producers == 0);
    OK(shmflow_consumer_skip_to_newest(consumer));
    OK(shmflow_consumer_set_accepted_caps(consumer, "video/x-raw"));
    GIVES(SHMFLOW_TOPIC_NOT_FOUND, shmflow_consumer_request_key_frame(consumer));

    /* Cancelled, for as long as it is. */
    OK(shmflow_consumer_cancel(consumer));
    for (int i = 0; i < 3; i++) {
        CHECK(readable(fd, 30000));
        GIVES(SHMFLOW_CANCELLED, shmflow_consumer_try_receive(consumer, &frame));
        GIVES(SHMFLOW_CANCELLED, shmflow_consumer_receive(consumer, SHMFLOW_FOREVER, &frame));
    }
    OK(shmflow_consumer_cancel_reset(consumer));
    GIVES(SHMFLOW_TIMEOUT, shmflow_consumer_try_receive(consumer, &frame));
    CHECK(!readable(fd, 50));

    shmflow_producer *producer = producer_of("late");
    OK(shmflow_producer_write(producer, "1", 1, NULL, NULL));
    do {
        CHECK(readable(fd, 30000));
    } while (shmflow_consumer_try_receive(consumer, &frame) == SHMFLOW_TIMEOUT);
    CHECK(shmflow_frame_sequence(frame) == 1);
    shmflow_frame_release(frame);
    OK(shmflow_consumer_fd(consumer, &same));
    CHECK(fd == same && !readable(fd, 0));

    /* From now on it wakes once for each frame. */
    for (uint64_t i = 2; i < 100; i++) {
        OK(shmflow_producer_write(producer, "x", 1, NULL, NULL));
        CHECK(readable(fd, 30000));
        OK(shmflow_consumer_try_receive(consumer, &frame));
        CHECK(shmflow_frame_sequence(frame) == i && !readable(fd, 0));
        shmflow_frame_release(frame);
    }
    OK(shmflow_consumer_cancel(consumer));
    CHECK(readable(fd, 30000));
    GIVES(SHMFLOW_CANCELLED, shmflow_consumer_try_receive(consumer, &frame));
    OK(shmflow_consumer_cancel_reset(consumer));
    shmflow_consumer_close(consumer);
    shmflow_producer_close(producer);

    /* A wait includes the wait for the topic. */
    consumer = early("later");
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, receive_one, consumer) == 0);
    producer = producer_of("later");
    OK(shmflow_producer_write(producer, "1", 1, NULL, NULL));
    CHECK(pthread_join(thread, NULL) == 0);
    shmflow_consumer_close(consumer);
    shmflow_producer_close(producer);

    /* A topic that is there is joined, and what is wrong is said, at once. */
    shmflow_consumer_options options;
    OK(shmflow_consumer_options_init(&options, sizeof options));
    options.allow_missing = 1;
    GIVES(SHMFLOW_INVALID_TOPIC_NAME, shmflow_consumer_open("", &options, &consumer));
}

static void several(void) {
    shmflow_consumer *consumers[3] = {early("one"), NULL, early("two")};
    size_t index = 7;
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_wait_any(consumers, 0, 0, &index));
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_wait_any(NULL, 1, 0, &index));
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_wait_any(consumers, 3, 0, NULL));
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_wait_any(consumers + 1, 1, SHMFLOW_FOREVER, &index));
    GIVES(SHMFLOW_TIMEOUT, shmflow_wait_any(consumers, 3, 0, &index));
    GIVES(SHMFLOW_TIMEOUT, shmflow_wait_any(consumers, 3, 30, &index));
    shmflow_producer *two = producer_of("two"), *one = producer_of("one");
    shmflow_frame *frame;
    for (int i = 0; i < 50; i++) {
        OK(shmflow_producer_write(i % 2 == 0 ? two : one, "x", 1, NULL, NULL));
        OK(shmflow_wait_any(consumers, 3, 30000, &index));
        CHECK(index == (i % 2 == 0 ? 2 : 0));
        OK(shmflow_consumer_try_receive(consumers[index], &frame));
        shmflow_frame_release(frame);
    }
    /* Nobody starves: both have something at all times. */
    int turns[3] = {0};
    OK(shmflow_producer_write(one, "x", 1, NULL, NULL));
    OK(shmflow_producer_write(two, "x", 1, NULL, NULL));
    for (int i = 0; i < 3; i += 2) {
        int fd;
        OK(shmflow_consumer_fd(consumers[i], &fd));
        CHECK(readable(fd, 30000));
    }
    for (int i = 0; i < 20; i++) {
        OK(shmflow_wait_any(consumers, 3, 30000, &index));
        turns[index]++;
    }
    CHECK(turns[0] == 10 && turns[1] == 0 && turns[2] == 10);
    /* An end is something, too. */
    OK(shmflow_consumer_skip_to_newest(consumers[0]));
    OK(shmflow_consumer_receive(consumers[0], 0, &frame));
    shmflow_frame_release(frame);
    OK(shmflow_producer_end(one));
    OK(shmflow_wait_any(consumers, 1, 30000, &index));
    GIVES(SHMFLOW_ENDED, shmflow_consumer_try_receive(consumers[0], &frame));
    GIVES(SHMFLOW_TIMEOUT, shmflow_wait_any(consumers, 1, 0, &index));
    OK(shmflow_consumer_cancel(consumers[0]));
    OK(shmflow_wait_any(consumers, 1, SHMFLOW_FOREVER, &index));
    GIVES(SHMFLOW_CANCELLED, shmflow_consumer_try_receive(consumers[0], &frame));
    shmflow_consumer_close(consumers[0]);
    shmflow_consumer_close(consumers[2]);
    shmflow_producer_close(one);
    shmflow_producer_close(two);
}

/* Many consumers are a few threads. */
static void many(void) {
    static shmflow_consumer *consumers[MANY];
    static shmflow_producer *producers[MANY];
    CHECK(watchers() == 0);
    for (int i = 0; i < MANY; i++) {
        char topic[20];
        snprintf(topic, sizeof topic, "many/%d", i % 10);
        if (i < 10) {
            producers[i] = producer_of(topic);
        }
        OK(shmflow_consumer_open(topic, NULL, &consumers[i]));
    }
    size_t index;
    GIVES(SHMFLOW_TIMEOUT, shmflow_wait_any(consumers, MANY, 0, &index));
    /* A thread gives itself its name once it runs: until all that were started have. */
    unsigned before = 0, count = watchers();
    while (count != before || count < (MANY + 62) / 63) {
        poll(NULL, 0, 20);
        before = count;
        count = watchers();
    }
    printf("%u threads for %d consumers\n", count, MANY);
    for (size_t i = 0; i < 10; i++) {
        OK(shmflow_producer_write(producers[i], "x", 1, NULL, NULL));
        for (int received = 0; received < MANY / 10; received++) {
            shmflow_frame *frame;
            OK(shmflow_wait_any(consumers, MANY, 30000, &index));
            CHECK(index % 10 == i);
            OK(shmflow_consumer_try_receive(consumers[index], &frame));
            shmflow_frame_release(frame);
        }
    }
    for (int i = 0; i < MANY; i++) {
        shmflow_consumer_close(consumers[i]);
        if (i < 10) {
            shmflow_producer_close(producers[i]);
        }
    }
    CHECK(watchers() == 0);
}

int main(void) {
    before_the_topic();
    several();
    many();
    puts("done");
    return 0;
}
