/* Says the mean brightness of each frame of a topic, whoever sends it: receiver TOPIC.
 *
 * Send it something:  gst-launch-1.0 videotestsrc ! shmflowsink topic=TOPIC
 */
#define _POSIX_C_SOURCE 200809L

#include <shmflow.h>

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, shmflow_last_error_message());
    return 1;
}

/* The mean of the first plane's bytes: gray, luma, or all colours together. */
static double brightness(const shmflow_frame *frame) {
    shmflow_plane plane;
    if (shmflow_frame_plane(frame, 0, &plane, sizeof plane) != SHMFLOW_OK) {
        return -1;
    }
    double sum = 0;
    for (uint32_t y = 0; y < plane.rows; y++) {
        const unsigned char *row = (const unsigned char *)plane.data + (ptrdiff_t)y * plane.stride;
        for (uint64_t x = 0; x < plane.row_bytes; x++) {
            sum += row[x];
        }
    }
    return sum / ((double)plane.rows * (double)plane.row_bytes);
}

int main(int count, char **words) {
    if (count != 2) {
        fprintf(stderr, "usage: %s TOPIC\n", words[0]);
        return 2;
    }
    shmflow_consumer_options options;
    shmflow_consumer_options_init(&options, sizeof options);
    options.connect_timeout_ms = SHMFLOW_FOREVER;
    shmflow_consumer *consumer;
    int fd;
    if (shmflow_consumer_open(words[1], &options, &consumer) != SHMFLOW_OK
        || shmflow_consumer_fd(consumer, &fd) != SHMFLOW_OK) {
        return fail("open");
    }
    for (;;) {
        /* Here other descriptors could be watched too. */
        struct pollfd watched = {fd, POLLIN, 0};
        poll(&watched, 1, -1);
        shmflow_frame *frame;
        shmflow_status status = shmflow_consumer_try_receive(consumer, &frame);
        if (status == SHMFLOW_TIMEOUT) {
            continue; /* it was readable without reason */
        }
        if (status != SHMFLOW_OK) {
            shmflow_consumer_close(consumer);
            return status == SHMFLOW_ENDED ? 0 : fail("receive");
        }
        const char *format = shmflow_frame_format(frame);
        printf("frame %" PRIu64 ": %s %" PRIu32 "x%" PRIu32 ", brightness %.1f\n", shmflow_frame_sequence(frame),
               format == NULL ? "bytes" : format, shmflow_frame_width(frame), shmflow_frame_height(frame),
               brightness(frame));
        shmflow_frame_release(frame);
    }
}
