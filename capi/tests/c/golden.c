/* Says what each frame of a topic says of itself, one JSON object a line: golden TOPIC COUNT. */
#include <inttypes.h>

#include "check.h"

static void number(const char *key, uint64_t value, int known) {
    if (known) {
        printf("\"%s\":%" PRIu64 ",", key, value);
    } else {
        printf("\"%s\":null,", key);
    }
}

static void time_of(const char *key, uint64_t value) {
    number(key, value, value != SHMFLOW_NO_TIME);
}

static void text(const char *key, const char *value) {
    if (value == NULL) {
        printf("\"%s\":null,", key);
        return;
    }
    printf("\"%s\":\"", key);
    for (; *value != 0; value++) {
        if (*value == '"' || *value == '\\') {
            putchar('\\');
        }
        putchar(*value);
    }
    printf("\",");
}

int main(int count, char **words) {
    CHECK(count == 3);
    shmflow_consumer_options options;
    OK(shmflow_consumer_options_init(&options, sizeof options));
    options.max_leases = 1000;
    shmflow_consumer *consumer;
    OK(shmflow_consumer_open(words[1], &options, &consumer));
    for (long left = strtol(words[2], NULL, 10); left > 0; left--) {
        shmflow_frame *frame;
        OK(shmflow_consumer_receive(consumer, 30000, &frame));
        shmflow_status status = shmflow_frame_metadata_status(frame);
        printf("{\"status\":\"%s\",", shmflow_status_name(status));
        text("error", status == SHMFLOW_OK ? NULL : shmflow_last_error_message());
        number("flags_number", shmflow_frame_flags(frame), 1);
        time_of("capture_ns", shmflow_frame_capture_time(frame));
        number("clock_number", shmflow_frame_clock(frame), 1);
        time_of("pts", shmflow_frame_pts(frame));
        time_of("dts", shmflow_frame_dts(frame));
        time_of("duration", shmflow_frame_duration(frame));
        time_of("latency_ns", shmflow_frame_latency(frame));
        text("caps", shmflow_frame_caps(frame));
        text("format", shmflow_frame_format(frame));
        number("width", shmflow_frame_width(frame), 1);
        number("height", shmflow_frame_height(frame), 1);
        uint32_t n, d;
        shmflow_frame_rate(frame, &n, &d);
        number("fps_n", n, 1);
        number("fps_d", d, 1);
        shmflow_crop crop;
        shmflow_frame_crop(frame, &crop, sizeof crop);
        printf("\"crop\":[%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32 "],", crop.x, crop.y, crop.width, crop.height);
        size_t length;
        const unsigned char *block = (const unsigned char *)shmflow_frame_metadata_block(frame, &length);
        printf("\"block\":\"");
        for (size_t i = 0; i < length; i++) {
            printf("%02x", block[i]);
        }
        printf("\",\"planes\":[");
        for (uint32_t i = 0; i < shmflow_frame_plane_count(frame); i++) {
            shmflow_plane plane;
            status = shmflow_frame_plane(frame, i, &plane, sizeof plane);
            printf("%s{\"status\":\"%s\",\"offset\":%" PRIu64 ",\"stride\":%" PRId32 ",\"rows\":%" PRIu32
                   ",\"row_bytes\":%" PRIu64 ",\"at\":%td}",
                   i == 0 ? "" : ",", shmflow_status_name(status), plane.offset, plane.stride, plane.rows, plane.row_bytes,
                   plane.data == NULL ? -1 : (const char *)plane.data - (const char *)shmflow_frame_data(frame));
        }
        printf("]}\n");
        fflush(stdout);
        shmflow_frame_release(frame);
    }
    shmflow_consumer_close(consumer);
    return 0;
}
