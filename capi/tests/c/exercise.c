/* Every function once, as it is meant, in one process. */
#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <pthread.h>
#include <time.h>

#include "check.h"

enum { WIDTH = 64, HEIGHT = 48, BYTES = WIDTH * HEIGHT * 3 };

static void *release(void *frame) {
    shmflow_frame_release((shmflow_frame *)frame);
    return NULL;
}

static void *cancel(void *consumer) {
    OK(shmflow_consumer_cancel((const shmflow_consumer *)consumer));
    return NULL;
}

static void pause_a_little(void) {
    struct timespec little = {0, 1000000};
    nanosleep(&little, NULL);
}

static void *wait_for_ever(void *consumer) {
    shmflow_frame *frame;
    shmflow_status status;
    do {
        pause_a_little();
        status = shmflow_consumer_receive((const shmflow_consumer *)consumer, SHMFLOW_FOREVER, &frame);
    } while (status == SHMFLOW_HANDLE_IN_USE); /* the other thread was quicker */
    CHECK(status == SHMFLOW_CANCELLED);
    return NULL;
}

static shmflow_metadata metadata(const char *format) {
    shmflow_metadata said;
    OK(shmflow_metadata_init(&said, sizeof said));
    said.format = format;
    said.width = WIDTH;
    said.height = HEIGHT;
    said.fps_n = 30;
    return said;
}

static void video(shmflow_producer *producer, shmflow_consumer *consumer) {
    shmflow_metadata said = metadata("BGR");
    said.capture_time = 123456789;
    said.clock = SHMFLOW_CLOCK_TAI;
    said.pts = 5;
    said.duration = 7;
    said.latency = 9;
    said.offset = 3;
    said.offset_end = 4;
    said.flags = SHMFLOW_FLAG_DISCONT | SHMFLOW_FLAG_LIVE;
    said.crop_x = 4;
    said.crop_y = 2;
    said.crop_width = 32;
    said.crop_height = 16;

    size_t bytes = 0;
    OK(shmflow_video_size("BGR", WIDTH, HEIGHT, &bytes));
    CHECK(bytes == BYTES);
    shmflow_claim *claim;
    OK(shmflow_producer_claim(producer, bytes, &claim));
    CHECK(shmflow_claim_length(claim) == bytes && shmflow_claim_capacity(claim) >= bytes);
    unsigned char *pixels = (unsigned char *)shmflow_claim_data(claim);
    for (size_t i = 0; i < bytes; i++) {
        pixels[i] = (unsigned char)(i * 7);
    }
    OK(shmflow_claim_set_metadata(claim, &said));
    GIVES(SHMFLOW_INVALID_METADATA, shmflow_claim_set_length(claim, bytes - 1));
    GIVES(SHMFLOW_TOO_LARGE, shmflow_claim_set_length(claim, shmflow_claim_capacity(claim) + 1));
    uint64_t sequence = 0;
    OK(shmflow_claim_publish(claim, &sequence));

    shmflow_frame *frame;
    OK(shmflow_consumer_receive(consumer, 10000, &frame));
    CHECK(shmflow_frame_sequence(frame) == sequence && shmflow_frame_lost_before(frame) == 0);
    CHECK(shmflow_frame_length(frame) == bytes && shmflow_frame_is_copy(frame) == 0);
    CHECK(shmflow_frame_producer(frame) != 0 && shmflow_frame_epoch(frame) != 0);
    OK(shmflow_frame_metadata_status(frame));
    CHECK(shmflow_frame_capture_time(frame) == 123456789 && shmflow_frame_clock(frame) == SHMFLOW_CLOCK_TAI);
    CHECK(shmflow_frame_pts(frame) == 5 && shmflow_frame_duration(frame) == 7);
    CHECK(shmflow_frame_dts(frame) == SHMFLOW_NO_TIME && shmflow_frame_latency(frame) == 9);
    CHECK(shmflow_frame_offset(frame) == 3 && shmflow_frame_offset_end(frame) == 4);
    CHECK(shmflow_frame_flags(frame) == (SHMFLOW_FLAG_DISCONT | SHMFLOW_FLAG_LIVE));
    CHECK(strcmp(shmflow_frame_format(frame), "BGR") == 0);
    CHECK(shmflow_frame_width(frame) == WIDTH && shmflow_frame_height(frame) == HEIGHT);
    uint32_t n, d;
    OK(shmflow_frame_rate(frame, &n, &d));
    CHECK(n == 30 && d == 1);
    CHECK(strcmp(shmflow_frame_caps(frame), "video/x-raw, format=(string)BGR, width=(int)64, height=(int)48, "
                                            "framerate=(fraction)30/1") == 0);
    CHECK(shmflow_frame_plane_count(frame) == 1);
    shmflow_plane plane;
    OK(shmflow_frame_plane(frame, 0, &plane, sizeof plane));
    CHECK(plane.data == shmflow_frame_data(frame) && plane.offset == 0);
    CHECK(plane.stride == WIDTH * 3 && plane.row_bytes == WIDTH * 3 && plane.rows == HEIGHT);
    for (uint32_t y = 0; y < plane.rows; y++) {
        const unsigned char *row = (const unsigned char *)plane.data + (ptrdiff_t)y * plane.stride;
        for (size_t x = 0; x < plane.row_bytes; x++) {
            CHECK(row[x] == (unsigned char)((y * plane.row_bytes + x) * 7));
        }
    }
    shmflow_crop crop;
    OK(shmflow_frame_crop(frame, &crop, sizeof crop));
    CHECK(crop.x == 4 && crop.y == 2 && crop.width == 32 && crop.height == 16);

    /* Passed on as it is, under a new number. */
    size_t length;
    const void *block = shmflow_frame_metadata_block(frame, &length);
    CHECK(block != NULL && length >= 128);
    OK(shmflow_producer_claim(producer, bytes, &claim));
    memcpy(shmflow_claim_data(claim), shmflow_frame_data(frame), bytes);
    OK(shmflow_claim_set_metadata_block(claim, block, length));
    OK(shmflow_claim_publish(claim, NULL));
    shmflow_frame_release(frame);
    OK(shmflow_consumer_receive(consumer, 10000, &frame));
    CHECK(shmflow_frame_sequence(frame) == sequence + 1 && shmflow_frame_pts(frame) == 5);
    shmflow_frame_release(frame);

    /* Planes with padding, bottom-up. */
    said = metadata("GRAY8");
    said.plane_count = 1;
    said.planes[0].offset = (HEIGHT - 1) * 80;
    said.planes[0].stride = -80;
    static unsigned char gray[80 * HEIGHT];
    OK(shmflow_producer_write(producer, gray, sizeof gray, &said, NULL));
    GIVES(SHMFLOW_INVALID_METADATA, shmflow_producer_write(producer, gray, sizeof gray - 17, &said, NULL));
    OK(shmflow_consumer_try_receive(consumer, &frame));
    OK(shmflow_frame_plane(frame, 0, &plane, sizeof plane));
    CHECK(plane.stride == -80 && plane.data == (const char *)shmflow_frame_data(frame) + (HEIGHT - 1) * 80);
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_frame_plane(frame, 1, &plane, sizeof plane));
    OK(shmflow_frame_crop(frame, &crop, sizeof crop));
    CHECK(crop.x == 0 && crop.y == 0 && crop.width == WIDTH && crop.height == HEIGHT);
    shmflow_frame_release(frame);

    /* A format whose planes are not known is believed, but not measured. */
    said = metadata("H264_IN_PIECES");
    GIVES(SHMFLOW_UNKNOWN_FORMAT, shmflow_producer_write(producer, gray, sizeof gray, &said, NULL));
    said.plane_count = 1;
    said.planes[0].stride = 99;
    OK(shmflow_producer_write(producer, gray, sizeof gray, &said, NULL));
    OK(shmflow_consumer_try_receive(consumer, &frame));
    GIVES(SHMFLOW_UNKNOWN_FORMAT, shmflow_frame_plane(frame, 0, &plane, sizeof plane));
    CHECK(plane.data == NULL && plane.stride == 99);
    shmflow_frame_release(frame);
}

static void bytes(shmflow_producer *producer, shmflow_consumer *consumer) {
    shmflow_claim *claim;
    OK(shmflow_producer_claim(producer, 100, &claim));
    shmflow_claim_abandon(claim);

    uint64_t sequence;
    OK(shmflow_producer_write(producer, "hello", 5, NULL, &sequence));
    OK(shmflow_producer_write(producer, NULL, 0, NULL, NULL));
    shmflow_frame *frame;
    OK(shmflow_consumer_receive(consumer, SHMFLOW_FOREVER, &frame));
    CHECK(shmflow_frame_length(frame) == 5 && memcmp(shmflow_frame_data(frame), "hello", 5) == 0);
    GIVES(SHMFLOW_NO_METADATA, shmflow_frame_metadata_status(frame));
    CHECK(shmflow_frame_caps(frame) == NULL && shmflow_frame_format(frame) == NULL);
    CHECK(shmflow_frame_pts(frame) == SHMFLOW_NO_TIME && shmflow_frame_width(frame) == 0);
    CHECK(shmflow_frame_plane_count(frame) == 0 && shmflow_frame_flags(frame) == 0);
    size_t length = 9;
    CHECK(shmflow_frame_metadata_block(frame, &length) == NULL && length == 0);

    /* Another reference, released by another thread. */
    CHECK(shmflow_frame_ref(frame) == frame);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, release, frame) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(memcmp(shmflow_frame_data(frame), "hello", 5) == 0);
    shmflow_consumer_stats stats;
    OK(shmflow_consumer_get_stats(consumer, &stats, sizeof stats));
    CHECK(stats.leases == 1 && stats.lost == 0 && stats.producers == 1 && stats.ended == 0);
    shmflow_frame_release(frame);
    OK(shmflow_consumer_try_receive(consumer, &frame));
    CHECK(shmflow_frame_length(frame) == 0);
    shmflow_frame_release(frame);
    GIVES(SHMFLOW_TIMEOUT, shmflow_consumer_try_receive(consumer, &frame));
    CHECK(frame == NULL);
    GIVES(SHMFLOW_TIMEOUT, shmflow_consumer_receive(consumer, 10, &frame));

    /* Other than the newest is left out. */
    for (int i = 0; i < 3; i++) {
        OK(shmflow_producer_write(producer, &i, sizeof i, NULL, &sequence));
    }
    OK(shmflow_consumer_skip_to_newest(consumer));
    uint64_t asked, asked_before;
    OK(shmflow_producer_key_frame_requests(producer, &asked_before));
    OK(shmflow_consumer_request_key_frame(consumer));
    OK(shmflow_producer_key_frame_requests(producer, &asked));
    CHECK(asked == asked_before + 1);
    OK(shmflow_consumer_try_receive(consumer, &frame));
    CHECK(shmflow_frame_sequence(frame) == sequence && shmflow_frame_lost_before(frame) == 0);
    shmflow_frame_release(frame);
    OK(shmflow_consumer_set_accepted_caps(consumer, "video/x-raw, format=BGR"));
}

static void waiting(shmflow_producer *producer, shmflow_consumer *consumer) {
    int fd = -1, again = -1;
    OK(shmflow_consumer_fd(consumer, &fd));
    OK(shmflow_consumer_fd(consumer, &again));
    CHECK(fd >= 0 && fd == again);
    struct pollfd watched = {fd, POLLIN, 0};
    shmflow_frame *frame;
    GIVES(SHMFLOW_TIMEOUT, shmflow_consumer_try_receive(consumer, &frame));
    CHECK(poll(&watched, 1, 0) == 0);
    for (int i = 0; i < 10; i++) {
        OK(shmflow_producer_write(producer, &i, sizeof i, NULL, NULL));
        CHECK(poll(&watched, 1, 30000) == 1);
        OK(shmflow_consumer_try_receive(consumer, &frame));
        CHECK(memcmp(shmflow_frame_data(frame), &i, sizeof i) == 0);
        shmflow_frame_release(frame);
        GIVES(SHMFLOW_TIMEOUT, shmflow_consumer_try_receive(consumer, &frame));
    }

    pthread_t thread;
    /* While one thread waits, another one is refused, and may end the wait. */
    CHECK(pthread_create(&thread, NULL, wait_for_ever, consumer) == 0);
    shmflow_status status;
    do {
        pause_a_little();
        status = shmflow_consumer_try_receive(consumer, &frame);
        CHECK(status == SHMFLOW_TIMEOUT || status == SHMFLOW_HANDLE_IN_USE);
    } while (status == SHMFLOW_TIMEOUT);
    OK(shmflow_consumer_cancel(consumer));
    CHECK(pthread_join(thread, NULL) == 0);
    OK(shmflow_consumer_cancel_reset(consumer));

    CHECK(pthread_create(&thread, NULL, cancel, consumer) == 0);
    GIVES(SHMFLOW_CANCELLED, shmflow_consumer_receive(consumer, SHMFLOW_FOREVER, &frame));
    CHECK(pthread_join(thread, NULL) == 0);
    GIVES(SHMFLOW_CANCELLED, shmflow_consumer_receive(consumer, SHMFLOW_FOREVER, &frame));
    OK(shmflow_consumer_cancel_reset(consumer));
    GIVES(SHMFLOW_TIMEOUT, shmflow_consumer_receive(consumer, 0, &frame));
}

static void *one_more(void *producer) {
    OK(shmflow_producer_write((const shmflow_producer *)producer, "more", 4, NULL, NULL));
    return NULL;
}

/* Nobody runs as fast as the producer, and nothing is lost. */
static void lossless(void) {
    shmflow_producer_options making;
    OK(shmflow_producer_options_init(&making, sizeof making));
    CHECK(making.stall_timeout_ms == 5000);
    making.overflow_policy = SHMFLOW_OVERFLOW_LOSSLESS;
    making.stall_timeout_ms = 0;
    making.depth = 2;
    shmflow_producer *producer;
    OK(shmflow_producer_open("lossless", &making, &producer));
    shmflow_consumer_options reading;
    OK(shmflow_consumer_options_init(&reading, sizeof reading));
    CHECK(reading.delivery == SHMFLOW_DELIVERY_ALL);
    shmflow_consumer *recorder, *preview;
    OK(shmflow_consumer_open("lossless", &reading, &recorder));
    reading.delivery = SHMFLOW_DELIVERY_LATEST;
    OK(shmflow_consumer_open("lossless", &reading, &preview));

    shmflow_producer_stats stats;
    OK(shmflow_producer_get_stats(producer, &stats, sizeof stats));
    for (uint32_t i = 0; i < stats.slots; i++)
        OK(shmflow_producer_write(producer, "first", 5, NULL, NULL));
    /* Full: one that is cancelled gives up, one that waits is woken. */
    OK(shmflow_producer_cancel(producer));
    GIVES(SHMFLOW_CANCELLED, shmflow_producer_write(producer, "x", 1, NULL, NULL));
    OK(shmflow_producer_cancel_reset(producer));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, one_more, producer) == 0);
    shmflow_frame *frame;
    for (uint64_t sequence = 1; sequence <= stats.slots + 1; sequence++) {
        OK(shmflow_consumer_receive(recorder, SHMFLOW_FOREVER, &frame));
        CHECK(shmflow_frame_sequence(frame) == sequence && shmflow_frame_lost_before(frame) == 0);
        shmflow_frame_release(frame);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    /* The preview was not waited for. */
    OK(shmflow_consumer_receive(preview, 10000, &frame));
    CHECK(shmflow_frame_lost_before(frame) > 0);
    shmflow_frame_release(frame);
    OK(shmflow_producer_get_stats(producer, &stats, sizeof stats));
    CHECK(stats.dropped == 1 && stats.stalls == 0 && stats.stalled_consumers == 0);
    shmflow_consumer_close(recorder);
    shmflow_consumer_close(preview);

    /* One that takes nothing is passed over. */
    shmflow_producer_close(producer);
    making.stall_timeout_ms = 20;
    OK(shmflow_producer_open("lossless", &making, &producer));
    OK(shmflow_consumer_open("lossless", NULL, &recorder));
    for (uint32_t i = 0; i < stats.slots + 5; i++)
        OK(shmflow_producer_write(producer, "x", 1, NULL, NULL));
    OK(shmflow_producer_get_stats(producer, &stats, sizeof stats));
    CHECK(stats.dropped == 0 && stats.stalls == 1 && stats.stalled_consumers == 1);
    OK(shmflow_consumer_receive(recorder, 10000, &frame));
    CHECK(shmflow_frame_lost_before(frame) > 0);
    shmflow_frame_release(frame);
    shmflow_consumer_close(recorder);
    shmflow_producer_close(producer);
}

/* What a program attaches, another reads. */
static void attached(shmflow_producer *producer, shmflow_consumer *consumer) {
    shmflow_claim *claim;
    OK(shmflow_producer_claim(producer, BYTES, &claim));
    shmflow_metadata said = metadata("BGR");
    OK(shmflow_claim_set_metadata(claim, &said));
    shmflow_region region;
    OK(shmflow_region_init(&region, sizeof region));
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_claim_add_region(claim, &region));
    region.kind = "face";
    region.x = 1, region.y = 2, region.width = 3, region.height = 4, region.id = 5;
    OK(shmflow_claim_add_region(claim, &region));
    shmflow_detection detection;
    OK(shmflow_detection_init(&detection, sizeof detection));
    CHECK(detection.track_id == SHMFLOW_NO_TRACK && detection.score == 1);
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_claim_add_detection(claim, &detection));
    detection.label = "person";
    detection.x = -1, detection.width = 20, detection.height = 30;
    OK(shmflow_claim_add_detection(claim, &detection));
    detection.label = "dog";
    detection.score = 0.5f, detection.track_id = 7;
    OK(shmflow_claim_add_detection(claim, &detection));
    OK(shmflow_claim_publish(claim, NULL));

    shmflow_frame *frame;
    OK(shmflow_consumer_receive(consumer, SHMFLOW_FOREVER, &frame));
    CHECK(strcmp(shmflow_frame_format(frame), "BGR") == 0);
    CHECK(shmflow_frame_region_count(frame) == 1 && shmflow_frame_detection_count(frame) == 2);
    memset(&region, 0, sizeof region);
    OK(shmflow_frame_region(frame, 0, &region, sizeof region));
    CHECK(strcmp(region.kind, "face") == 0 && region.x == 1 && region.height == 4 && region.id == 5);
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_frame_region(frame, 1, &region, sizeof region));
    OK(shmflow_frame_detection(frame, 0, &detection, sizeof detection));
    CHECK(strcmp(detection.label, "person") == 0 && detection.x == -1 && detection.score == 1);
    CHECK(detection.track_id == SHMFLOW_NO_TRACK);
    OK(shmflow_frame_detection(frame, 1, &detection, sizeof detection));
    CHECK(strcmp(detection.label, "dog") == 0 && detection.score == 0.5f && detection.track_id == 7);
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_frame_detection(frame, 2, &detection, sizeof detection));
    shmflow_frame_release(frame);
    CHECK(shmflow_frame_region_count(NULL) == 0 && shmflow_frame_detection_count(NULL) == 0);

    /* More than there is room for, until room is made. */
    char *kind = (char *)malloc(100000);
    CHECK(kind != NULL);
    memset(kind, 'x', 99999);
    kind[99999] = 0;
    region.kind = kind;
    OK(shmflow_producer_claim(producer, 1, &claim));
    GIVES(SHMFLOW_INVALID_METADATA, shmflow_claim_add_region(claim, &region));
    shmflow_claim_abandon(claim);
    OK(shmflow_producer_grow_metadata(producer, 200000));
    OK(shmflow_producer_claim(producer, 1, &claim));
    OK(shmflow_claim_add_region(claim, &region));
    OK(shmflow_claim_publish(claim, NULL));
    OK(shmflow_consumer_receive(consumer, SHMFLOW_FOREVER, &frame));
    OK(shmflow_frame_region(frame, 0, &region, sizeof region));
    CHECK(strcmp(region.kind, kind) == 0);
    shmflow_frame_release(frame);
    free(kind);
}

int main(void) {
    CHECK(strcmp(shmflow_version(), "0.1.0") == 0);
    CHECK(strcmp(shmflow_status_name(SHMFLOW_NO_SPACE), "SHMFLOW_NO_SPACE") == 0);
    CHECK(strcmp(shmflow_last_error_message(), "") == 0 && shmflow_last_error_status() == SHMFLOW_OK);

    shmflow_producer_options making;
    OK(shmflow_producer_options_init(&making, sizeof making));
    making.depth = 4;
    making.history = 2;
    making.slot_capacity = 1000;
    making.name = "exercise";
    making.perms = 0644;
    shmflow_producer *producer;
    OK(shmflow_producer_open("exercise", &making, &producer));
    OK(shmflow_producer_grow(producer, BYTES, 5));

    shmflow_consumer_options reading;
    OK(shmflow_consumer_options_init(&reading, sizeof reading));
    reading.connect_timeout_ms = 1000;
    reading.start = SHMFLOW_START_OLDEST;
    reading.on_lapped = SHMFLOW_ON_LAPPED_NEWEST;
    reading.max_leases = 2;
    reading.report_no_producer = 1;
    reading.accepted_caps = "video/x-raw";
    shmflow_consumer *consumer;
    OK(shmflow_consumer_open("exercise", &reading, &consumer));

    bytes(producer, consumer);
    video(producer, consumer);
    attached(producer, consumer);
    waiting(producer, consumer);
    lossless();

    /* One that only reads gets copies. */
    OK(shmflow_consumer_options_init(&reading, sizeof reading));
    reading.read_only = 1;
    reading.start = SHMFLOW_START_NEXT;
    shmflow_consumer *reader;
    OK(shmflow_consumer_open("exercise", &reading, &reader));
    OK(shmflow_producer_write(producer, "last", 4, NULL, NULL));
    shmflow_frame *frame;
    OK(shmflow_consumer_receive(reader, 10000, &frame));
    CHECK(shmflow_frame_is_copy(frame) == 1 && memcmp(shmflow_frame_data(frame), "last", 4) == 0);
    char copy[7] = "______";
    CHECK(shmflow_frame_copy(frame, copy, 3) == 3 && memcmp(copy, "las___", 6) == 0);
    CHECK(shmflow_frame_copy(frame, copy, sizeof copy) == 4 && memcmp(copy, "last__", 6) == 0);
    CHECK(shmflow_frame_copy(frame, NULL, 0) == 0 && shmflow_frame_copy(frame, NULL, 1) == 0);
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_last_error_status());
    shmflow_frame_release(frame);
    shmflow_consumer_close(reader);

    shmflow_producer_stats stats;
    OK(shmflow_producer_get_stats(producer, &stats, sizeof stats));
    CHECK(stats.published >= 20 && stats.depth == 5 && stats.slots >= 5 && stats.consumers == 1 && stats.is_primary == 1);
    CHECK(stats.slot_capacity >= BYTES && stats.epoch == 3 && stats.reserved_bytes > stats.slot_capacity);

    OK(shmflow_consumer_receive(consumer, 10000, &frame));
    OK(shmflow_producer_end(producer));
    shmflow_frame *none;
    GIVES(SHMFLOW_ENDED, shmflow_consumer_receive(consumer, SHMFLOW_FOREVER, &none));
    CHECK(none == NULL && strstr(shmflow_last_error_message(), "exercise") != NULL);
    /* A frame outlives everything. */
    shmflow_consumer_close(consumer);
    shmflow_producer_close(producer);
    CHECK(memcmp(shmflow_frame_data(frame), "last", 4) == 0);
    shmflow_frame_release(frame);

    GIVES(SHMFLOW_TOPIC_NOT_FOUND, shmflow_consumer_open("exercise", NULL, &consumer));
    CHECK(consumer == NULL && strstr(shmflow_last_error_message(), "exercise") != NULL);
    puts("done");
    return 0;
}
