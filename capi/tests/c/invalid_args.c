/* NULL and nonsense, to every function: an error each time, and the process goes on. */
#include <limits.h>
#include <math.h>

#include "check.h"

#define BAD(call) GIVES(SHMFLOW_INVALID_ARGUMENT, call)

/* Aligned as nothing is that these functions take. */
#define CROOKED(type) ((type *)(void *)(crooked + 1))
static char crooked[4096];

static void options(void) {
    shmflow_producer_options making;
    shmflow_producer *producer = (shmflow_producer *)crooked;
    BAD(shmflow_producer_options_init(NULL, sizeof making));
    BAD(shmflow_producer_options_init(&making, 0));
    BAD(shmflow_producer_options_init(&making, 7));
    BAD(shmflow_producer_options_init(&making, SIZE_MAX));
    BAD(shmflow_producer_options_init(CROOKED(shmflow_producer_options), sizeof making));
#define WITH(field, value)                                                                                    \
    do {                                                                                                      \
        OK(shmflow_producer_options_init(&making, sizeof making));                                            \
        making.field = (value);                                                                               \
        BAD(shmflow_producer_open("invalid_args", &making, &producer));                                           \
        CHECK(producer == NULL);                                                                              \
    } while (0)
    WITH(size, 0);
    WITH(size, 3);
    WITH(size, SIZE_MAX);
    WITH(mode, 3);
    WITH(mode, -1);
    WITH(overflow_policy, 3);
    WITH(overflow_policy, INT_MIN);
    WITH(perms, 01000);
    WITH(perms, UINT_MAX);
    WITH(depth, 0);
    WITH(depth, UINT_MAX);
    WITH(spare_slots, UINT_MAX);
    WITH(name, "\xff\xfe");
    WITH(directory, "");
#undef WITH
    OK(shmflow_producer_options_init(&making, sizeof making));
    making.directory = "/nowhere/at/all";
    CHECK(shmflow_producer_open("invalid_args", &making, &producer) < 0);
    making.directory = NULL;
    making.slot_capacity = SIZE_MAX;
    CHECK(shmflow_producer_open("invalid_args", &making, &producer) < 0);

    shmflow_consumer_options reading;
    shmflow_consumer *consumer = (shmflow_consumer *)crooked;
    BAD(shmflow_consumer_options_init(NULL, sizeof reading));
    BAD(shmflow_consumer_options_init(&reading, 1));
#define WITH(field, value)                                                                                    \
    do {                                                                                                      \
        OK(shmflow_consumer_options_init(&reading, sizeof reading));                                          \
        reading.field = (value);                                                                              \
        BAD(shmflow_consumer_open("invalid_args", &reading, &consumer));                                          \
        CHECK(consumer == NULL);                                                                              \
    } while (0)
    WITH(size, 12);
    WITH(start, 3);
    WITH(start, -7);
    WITH(on_lapped, 99);
    WITH(name, "\xc3");
    WITH(accepted_caps, "\x80");
    WITH(directory, "");
    WITH(share_index, 1);
    WITH(max_rate, -1);
    WITH(max_rate, NAN);
    WITH(max_rate, 1e-300);
#undef WITH
    OK(shmflow_consumer_options_init(&reading, sizeof reading));
    reading.share_index = reading.share_count = 3;
    BAD(shmflow_consumer_open("invalid_args", &reading, &consumer));
    CHECK(strstr(shmflow_last_error_message(), "share 3 of 3") != NULL);
    /* A newer program's options, with something in them that this library does not have. */
    struct {
        shmflow_consumer_options known;
        uint64_t unknown;
    } newer;
    memset(&newer, 0, sizeof newer);
    OK(shmflow_consumer_options_init(&newer.known, sizeof newer.known));
    newer.known.size = sizeof newer;
    GIVES(SHMFLOW_TOPIC_NOT_FOUND, shmflow_consumer_open("invalid_args", &newer.known, &consumer));
    newer.unknown = 1;
    BAD(shmflow_consumer_open("invalid_args", &newer.known, &consumer));
    CHECK(strstr(shmflow_last_error_message(), "newer") != NULL);
}

static void names(void) {
    shmflow_producer *producer;
    shmflow_consumer *consumer;
    BAD(shmflow_producer_open(NULL, NULL, &producer));
    BAD(shmflow_producer_open("invalid_args", NULL, NULL));
    BAD(shmflow_producer_open("\xff", NULL, &producer));
    GIVES(SHMFLOW_INVALID_TOPIC_NAME, shmflow_producer_open("", NULL, &producer));
    GIVES(SHMFLOW_INVALID_TOPIC_NAME, shmflow_producer_open("a\nb", NULL, &producer));
    char name[400];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    GIVES(SHMFLOW_INVALID_TOPIC_NAME, shmflow_producer_open(name, NULL, &producer));
    BAD(shmflow_consumer_open(NULL, NULL, &consumer));
    BAD(shmflow_consumer_open("invalid_args", NULL, NULL));
    GIVES(SHMFLOW_INVALID_TOPIC_NAME, shmflow_consumer_open("", NULL, &consumer));
    GIVES(SHMFLOW_TOPIC_NOT_FOUND, shmflow_consumer_open("invalid_args", NULL, &consumer));
}

/* What hangs on a frame: a macro for those that are alike. */
static void nothing_hangs(void) {
    shmflow_claim *claim = (shmflow_claim *)crooked;
    size_t size = 7;
#define KIND(name)                                                                                            \
    do {                                                                                                      \
        shmflow_##name one;                                                                                   \
        BAD(shmflow_##name##_init(NULL, sizeof one));                                                         \
        BAD(shmflow_##name##_init(&one, 3));                                                                  \
        OK(shmflow_##name##_init(&one, sizeof one));                                                          \
        BAD(shmflow_claim_add_##name(NULL, &one));                                                            \
        BAD(shmflow_claim_add_##name(claim, NULL));                                                           \
        CHECK(shmflow_frame_##name##_count(NULL) == 0);                                                       \
        BAD(shmflow_frame_##name(NULL, 0, &one, sizeof one));                                                 \
    } while (0)
    KIND(region);
    KIND(detection);
    KIND(classification);
    KIND(track);
    KIND(time_code);
    KIND(caption);
    KIND(reference_time);
#undef KIND
    BAD(shmflow_claim_set_tags(NULL, "taglist", 0));
    BAD(shmflow_claim_add_entry(NULL, SHMFLOW_ENTRY_PRIVATE, "x", 1));
    CHECK(shmflow_frame_tags(NULL, 0) == NULL);
    CHECK(shmflow_frame_entry(NULL, SHMFLOW_ENTRY_PRIVATE, 0, &size) == NULL && size == 0);
    CHECK(shmflow_frame_entry(NULL, SHMFLOW_ENTRY_PRIVATE, 0, NULL) == NULL);
    shmflow_audio audio;
    BAD(shmflow_audio_init(&audio, 1));
    BAD(shmflow_frame_audio(NULL, &audio, sizeof audio));
    CHECK(shmflow_frame_audio_channel(NULL, 0) == NULL);
    BAD(shmflow_set_log(-1, NULL, NULL));
}

static void nothing(void) {
    uint64_t number = 7;
    uint32_t n, d;
    size_t size = 7;
    int fd = 7;
    shmflow_claim *claim = (shmflow_claim *)crooked;
    shmflow_frame *frame = (shmflow_frame *)crooked;
    shmflow_producer_stats done;
    shmflow_consumer_stats read;
    shmflow_plane plane;
    shmflow_crop crop;
    shmflow_metadata said;
    OK(shmflow_metadata_init(&said, sizeof said));
    BAD(shmflow_metadata_init(NULL, sizeof said));
    BAD(shmflow_metadata_init(&said, 1));
    BAD(shmflow_video_size(NULL, 1, 1, &size));
    BAD(shmflow_video_size("BGR", 1, 1, NULL));
    BAD(shmflow_video_size("BGR", 0, 1, &size));
    BAD(shmflow_video_size("BGR", UINT_MAX, UINT_MAX, &size));
    GIVES(SHMFLOW_UNKNOWN_FORMAT, shmflow_video_size("NONSENSE", 1, 1, &size));

    shmflow_producer_close(NULL);
    BAD(shmflow_producer_write(NULL, "x", 1, NULL, NULL));
    BAD(shmflow_producer_claim(NULL, 1, &claim));
    CHECK(claim == NULL);
    BAD(shmflow_producer_grow(NULL, 1, 1));
    BAD(shmflow_producer_cancel(NULL));
    BAD(shmflow_producer_cancel_reset(NULL));
    BAD(shmflow_producer_end(NULL));
    BAD(shmflow_producer_get_stats(NULL, &done, sizeof done));
    BAD(shmflow_producer_end(CROOKED(shmflow_producer)));

    CHECK(shmflow_claim_data(NULL) == NULL && shmflow_claim_length(NULL) == 0 && shmflow_claim_capacity(NULL) == 0);
    BAD(shmflow_claim_set_length(NULL, 1));
    BAD(shmflow_claim_set_metadata(NULL, &said));
    BAD(shmflow_claim_set_metadata_block(NULL, "x", 1));
    BAD(shmflow_claim_publish(NULL, &number));
    shmflow_claim_abandon(NULL);

    shmflow_consumer_close(NULL);
    BAD(shmflow_consumer_receive(NULL, 0, &frame));
    CHECK(frame == NULL);
    BAD(shmflow_consumer_try_receive(NULL, &frame));
    BAD(shmflow_consumer_fd(NULL, &fd));
    BAD(shmflow_consumer_cancel(NULL));
    BAD(shmflow_consumer_cancel_reset(NULL));
    BAD(shmflow_consumer_skip_to_newest(NULL));
    BAD(shmflow_consumer_request_key_frame(NULL));
    BAD(shmflow_producer_key_frame_requests(NULL, NULL));
    BAD(shmflow_consumer_set_accepted_caps(NULL, ""));
    BAD(shmflow_consumer_get_stats(NULL, &read, sizeof read));
    BAD(shmflow_consumer_cancel(CROOKED(shmflow_consumer)));

    CHECK(shmflow_frame_ref(NULL) == NULL);
    shmflow_frame_release(NULL);
    CHECK(shmflow_frame_data(NULL) == NULL && shmflow_frame_length(NULL) == 0 && shmflow_frame_sequence(NULL) == 0);
    CHECK(shmflow_frame_copy(NULL, crooked, sizeof crooked) == 0);
    CHECK(shmflow_frame_lost_before(NULL) == 0 && shmflow_frame_producer(NULL) == 0 && shmflow_frame_epoch(NULL) == 0);
    CHECK(shmflow_frame_is_copy(NULL) == 0 && shmflow_frame_flags(NULL) == 0 && shmflow_frame_clock(NULL) == 0);
    CHECK(shmflow_frame_capture_time(NULL) == SHMFLOW_NO_TIME && shmflow_frame_pts(NULL) == SHMFLOW_NO_TIME);
    CHECK(shmflow_frame_dts(NULL) == SHMFLOW_NO_TIME && shmflow_frame_duration(NULL) == SHMFLOW_NO_TIME);
    CHECK(shmflow_frame_latency(NULL) == SHMFLOW_NO_TIME);
    CHECK(shmflow_frame_offset(NULL) == SHMFLOW_NO_OFFSET && shmflow_frame_offset_end(NULL) == SHMFLOW_NO_OFFSET);
    CHECK(shmflow_frame_caps(NULL) == NULL && shmflow_frame_format(NULL) == NULL);
    CHECK(shmflow_frame_width(NULL) == 0 && shmflow_frame_height(NULL) == 0 && shmflow_frame_plane_count(NULL) == 0);
    CHECK(shmflow_frame_metadata_block(NULL, &size) == NULL && size == 0);
    CHECK(shmflow_last_error_status() == SHMFLOW_INVALID_ARGUMENT && strstr(shmflow_last_error_message(), "NULL") != NULL);
    BAD(shmflow_frame_metadata_status(NULL));
    BAD(shmflow_frame_rate(NULL, &n, &d));
    BAD(shmflow_frame_plane(NULL, 0, &plane, sizeof plane));
    BAD(shmflow_frame_crop(NULL, &crop, sizeof crop));
}

static void handles(void) {
    shmflow_producer *producer;
    shmflow_consumer *consumer;
    OK(shmflow_producer_open("invalid_args", NULL, &producer));
    OK(shmflow_consumer_open("invalid_args", NULL, &consumer));

    shmflow_metadata said;
    uint64_t sequence = 0;
    BAD(shmflow_producer_write(producer, NULL, 1, NULL, NULL));
    BAD(shmflow_producer_write(producer, "x", SIZE_MAX, NULL, NULL));
    BAD(shmflow_producer_write(producer, "x", (size_t)-5, NULL, NULL));
    BAD(shmflow_producer_write(producer, "x", 1, NULL, CROOKED(uint64_t)));
    BAD(shmflow_producer_grow(producer, SIZE_MAX, 1));
    CHECK(shmflow_producer_grow(producer, SIZE_MAX / 4, 1) < 0);
    CHECK(shmflow_producer_grow(producer, 1, UINT_MAX) < 0);
    BAD(shmflow_producer_get_stats(producer, NULL, 64));
    shmflow_producer_stats done;
    BAD(shmflow_producer_get_stats(producer, &done, 3));
    shmflow_claim *claim;
    BAD(shmflow_producer_claim(producer, SIZE_MAX, &claim));
    CHECK(claim == NULL);
    CHECK(shmflow_producer_claim(producer, SIZE_MAX / 2, &claim) < 0 && claim == NULL);
    BAD(shmflow_producer_claim(producer, 1, NULL));
    OK(shmflow_producer_claim(producer, 10, &claim));
    BAD(shmflow_claim_set_metadata(claim, NULL));
    BAD(shmflow_claim_set_metadata_block(claim, NULL, 9));
    GIVES(SHMFLOW_INVALID_METADATA, shmflow_claim_set_metadata_block(claim, "invalid_args", 8));
    GIVES(SHMFLOW_TOO_LARGE, shmflow_claim_set_length(claim, SIZE_MAX));
#define WITH(status, field, value)                                                                            \
    do {                                                                                                      \
        OK(shmflow_metadata_init(&said, sizeof said));                                                        \
        said.format = "GRAY8";                                                                                \
        said.width = 5;                                                                                       \
        said.height = 2;                                                                                      \
        said.field = (value);                                                                                 \
        GIVES(status, shmflow_claim_set_metadata(claim, &said));                                              \
        GIVES(status, shmflow_producer_write(producer, "0123456789", 10, &said, NULL));                       \
    } while (0)
    WITH(SHMFLOW_INVALID_ARGUMENT, size, 1);
    WITH(SHMFLOW_INVALID_ARGUMENT, width, 0);
    WITH(SHMFLOW_INVALID_ARGUMENT, height, 0);
    WITH(SHMFLOW_INVALID_METADATA, height, 3);
    WITH(SHMFLOW_INVALID_METADATA, width, UINT_MAX >> 1);
    WITH(SHMFLOW_INVALID_ARGUMENT, width, UINT_MAX);
    WITH(SHMFLOW_INVALID_ARGUMENT, plane_count, 5);
    WITH(SHMFLOW_INVALID_ARGUMENT, plane_count, UINT_MAX);
    WITH(SHMFLOW_INVALID_METADATA, plane_count, 1); /* of stride 0 */
    WITH(SHMFLOW_INVALID_METADATA, plane_count, 2);
    WITH(SHMFLOW_INVALID_ARGUMENT, clock, UINT_MAX);
    WITH(SHMFLOW_INVALID_ARGUMENT, caps, "\xff");
    WITH(SHMFLOW_UNKNOWN_FORMAT, format, "");
    WITH(SHMFLOW_UNKNOWN_FORMAT, format, "a format with a name that is too long");
    WITH(SHMFLOW_INVALID_METADATA, crop_width, 6);
#undef WITH
    OK(shmflow_metadata_init(&said, sizeof said));
    said.format = "GRAY8";
    said.width = 5;
    said.height = 2;
    said.fps_n = 1;
    said.fps_d = 0;
    BAD(shmflow_claim_set_metadata(claim, &said));
    char *caps = (char *)malloc(100000);
    memset(caps, 'x', 100000);
    caps[99999] = 0;
    said.fps_n = 0;
    said.caps = caps;
    GIVES(SHMFLOW_INVALID_METADATA, shmflow_claim_set_metadata(claim, &said));
    free(caps);
    OK(shmflow_claim_publish(claim, &sequence));
    CHECK(sequence == 1);

    shmflow_frame *frame;
    BAD(shmflow_consumer_receive(consumer, 0, NULL));
    BAD(shmflow_consumer_try_receive(consumer, NULL));
    BAD(shmflow_consumer_try_receive(consumer, CROOKED(shmflow_frame *)));
    BAD(shmflow_consumer_fd(consumer, NULL));
    BAD(shmflow_consumer_set_accepted_caps(consumer, NULL));
    BAD(shmflow_consumer_set_accepted_caps(consumer, "\xff"));
    char *accepted = (char *)malloc(10000);
    memset(accepted, 'x', 10000);
    accepted[9999] = 0;
    BAD(shmflow_consumer_set_accepted_caps(consumer, accepted));
    free(accepted);
    BAD(shmflow_consumer_get_stats(consumer, NULL, 72));
    /* Nothing was lost by all that. */
    OK(shmflow_consumer_receive(consumer, INT64_MIN, &frame));
    CHECK(shmflow_frame_sequence(frame) == 1);
    shmflow_plane plane;
    uint32_t n;
    BAD(shmflow_frame_plane(frame, 0, NULL, sizeof plane));
    BAD(shmflow_frame_plane(frame, 0, &plane, 1));
    GIVES(SHMFLOW_NO_METADATA, shmflow_frame_plane(frame, UINT_MAX, &plane, sizeof plane));
    BAD(shmflow_frame_rate(frame, NULL, &n));
    BAD(shmflow_frame_rate(frame, &n, NULL));
    BAD(shmflow_frame_crop(frame, NULL, sizeof plane));
    CHECK(shmflow_frame_metadata_block(frame, NULL) == NULL);
    GIVES(SHMFLOW_TIMEOUT, shmflow_consumer_receive(consumer, 1, &(shmflow_frame *){NULL}));
    shmflow_frame_release(frame);
    shmflow_consumer_close(consumer);
    shmflow_producer_close(producer);
}

int main(void) {
    CHECK(strcmp(shmflow_status_name(12345), "unknown status") == 0);
    options();
    names();
    nothing_hangs();
    nothing();
    handles();
    puts("done");
    return 0;
}
