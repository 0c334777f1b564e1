/* Frames of several topics in one event loop, beside other things to wait for: several TOPIC...
 *
 * The topics may come later, and in any order. It ends when each of them has come and ended, or with Ctrl-D.
 */
#define _POSIX_C_SOURCE 200809L

#include <shmflow.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, shmflow_last_error_message());
    return 1;
}

/* Takes what a topic has; 0 when it is over. All there is, since another topic may wait as well: one frame each time would
 * do, too. */
static int take(const char *topic, shmflow_consumer *consumer) {
    for (;;) {
        shmflow_frame *frame;
        shmflow_status status = shmflow_consumer_try_receive(consumer, &frame);
        if (status == SHMFLOW_TIMEOUT) {
            return 1; /* nothing more; the descriptor is unreadable now */
        }
        if (status != SHMFLOW_OK) {
            printf("%s: %s\n", topic, shmflow_last_error_message());
            return 0;
        }
        printf("%s: frame %" PRIu64 ", %zu bytes\n", topic, shmflow_frame_sequence(frame), shmflow_frame_length(frame));
        fflush(stdout);
        shmflow_frame_release(frame);
    }
}

int main(int count, char **words) {
    if (count < 2) {
        fprintf(stderr, "usage: %s TOPIC...\n", words[0]);
        return 2;
    }
    int loop = epoll_create1(EPOLL_CLOEXEC);
    shmflow_consumer **consumers = calloc((size_t)count, sizeof *consumers);
    if (loop < 0 || consumers == NULL) {
        perror("epoll_create1");
        return 1;
    }
    shmflow_consumer_options options;
    shmflow_consumer_options_init(&options, sizeof options);
    options.allow_missing = 1;
    for (int i = 1; i < count; i++) {
        int fd;
        if (shmflow_consumer_open(words[i], &options, &consumers[i]) != SHMFLOW_OK
            || shmflow_consumer_fd(consumers[i], &fd) != SHMFLOW_OK) {
            return fail(words[i]);
        }
        /* Which topic it is, comes back with the event. */
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) != 0) {
            perror("epoll_ctl");
            return 1;
        }
    }
    /* Something else; a file is always readable, and epoll does not take it. */
    struct epoll_event input = {.events = EPOLLIN, .data.u32 = 0};
    epoll_ctl(loop, EPOLL_CTL_ADD, STDIN_FILENO, &input);
    printf("ready\n");
    fflush(stdout);

    int open = count - 1;
    while (open > 0) {
        struct epoll_event event;
        if (epoll_wait(loop, &event, 1, -1) != 1) {
            continue; /* a signal */
        }
        int i = (int)event.data.u32;
        if (i == 0) {
            char line[100];
            if (read(STDIN_FILENO, line, sizeof line) <= 0) {
                break;
            }
            printf("input\n");
            fflush(stdout);
        } else if (!take(words[i], consumers[i])) {
            shmflow_consumer_close(consumers[i]); /* its descriptor leaves the loop by itself */
            consumers[i] = NULL;
            open--;
        }
    }
    for (int i = 1; i < count; i++) {
        shmflow_consumer_close(consumers[i]);
    }
    free(consumers);
    close(loop);
    return 0;
}
