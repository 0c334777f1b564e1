/* What hangs on a frame, there and back: findings, times, captions, tags, entries, and audio. */
#include "check.h"

static shmflow_claim *claim_of(shmflow_producer *producer, size_t bytes) {
    shmflow_claim *claim;
    OK(shmflow_producer_claim(producer, bytes, &claim));
    shmflow_metadata metadata;
    OK(shmflow_metadata_init(&metadata, sizeof metadata));
    OK(shmflow_claim_set_metadata(claim, &metadata));
    return claim;
}

static shmflow_frame *pass(shmflow_claim *claim, shmflow_consumer *consumer) {
    OK(shmflow_claim_publish(claim, NULL));
    shmflow_frame *frame;
    OK(shmflow_consumer_receive(consumer, 10000, &frame));
    return frame;
}

static void findings(shmflow_producer *producer, shmflow_consumer *consumer) {
    shmflow_claim *claim = claim_of(producer, 10);
    shmflow_classification class;
    OK(shmflow_classification_init(&class, sizeof class));
    CHECK(class.detection == SHMFLOW_WHOLE_FRAME);
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_claim_add_classification(claim, &class));
    class.label = "outdoor";
    OK(shmflow_claim_add_classification(claim, &class));
    class.label = "red";
    class.detection = 1;
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_claim_add_classification(claim, &class));
    CHECK(strstr(shmflow_last_error_message(), "detection 1") != NULL);

    shmflow_detection found;
    OK(shmflow_detection_init(&found, sizeof found));
    found.label = "person";
    OK(shmflow_claim_add_detection(claim, &found));
    found.label = "car";
    found.track_id = 7;
    OK(shmflow_claim_add_detection(claim, &found));
    class.score = 0.25f;
    OK(shmflow_claim_add_classification(claim, &class));
    class.label = "taxi";
    class.score = 0.75f;
    OK(shmflow_claim_add_classification(claim, &class));

    shmflow_track track;
    OK(shmflow_track_init(&track, sizeof track));
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_claim_add_track(claim, &track));
    track.id = 7;
    track.first_seen = 1000;
    OK(shmflow_claim_add_track(claim, &track));
    track.id = 8;
    track.first_seen = SHMFLOW_NO_TIME;
    track.lost = 1;
    OK(shmflow_claim_add_track(claim, &track));

    shmflow_frame *frame = pass(claim, consumer);
    CHECK(shmflow_frame_detection_count(frame) == 2);
    OK(shmflow_frame_detection(frame, 0, &found, sizeof found));
    CHECK(strcmp(found.label, "person") == 0 && found.track_id == SHMFLOW_NO_TRACK);
    OK(shmflow_frame_detection(frame, 1, &found, sizeof found));
    CHECK(strcmp(found.label, "car") == 0 && found.track_id == 7);

    const struct {
        const char *label;
        float score;
        uint32_t detection;
    } classes[] = {{"outdoor", 1.0f, SHMFLOW_WHOLE_FRAME}, {"red", 0.25f, 1}, {"taxi", 0.75f, 1}};
    CHECK(shmflow_frame_classification_count(frame) == 3);
    for (size_t i = 0; i < 3; i++) {
        OK(shmflow_frame_classification(frame, i, &class, sizeof class));
        CHECK(strcmp(class.label, classes[i].label) == 0 && class.detection == classes[i].detection);
        CHECK(class.score >= classes[i].score && class.score <= classes[i].score);
    }
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_frame_classification(frame, 3, &class, sizeof class));
    CHECK(shmflow_frame_track_count(frame) == 2);
    OK(shmflow_frame_track(frame, 0, &track, sizeof track));
    CHECK(track.id == 7 && track.first_seen == 1000 && track.last_seen == SHMFLOW_NO_TIME && track.lost == 0);
    OK(shmflow_frame_track(frame, 1, &track, sizeof track));
    CHECK(track.id == 8 && track.first_seen == SHMFLOW_NO_TIME && track.lost == 1);
    shmflow_frame_release(frame);
}

static void times_and_texts(shmflow_producer *producer, shmflow_consumer *consumer) {
    shmflow_claim *claim = claim_of(producer, 10);
    shmflow_time_code code;
    OK(shmflow_time_code_init(&code, sizeof code));
    code.fps_n = 30000;
    code.fps_d = 1001;
    code.flags = SHMFLOW_TIME_CODE_DROP_FRAME;
    code.hours = 10;
    code.frames = 29;
    OK(shmflow_claim_add_time_code(claim, &code));
    code.has_daily_jam = 1;
    code.daily_jam_us = -5;
    code.daily_jam_offset = 3600;
    OK(shmflow_claim_add_time_code(claim, &code));

    shmflow_caption caption;
    OK(shmflow_caption_init(&caption, sizeof caption));
    caption.kind = SHMFLOW_CAPTION_CEA608;
    caption.data = "\x94\x2c";
    caption.length = 2;
    OK(shmflow_claim_add_caption(claim, &caption));

    shmflow_reference_time time;
    OK(shmflow_reference_time_init(&time, sizeof time));
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_claim_add_reference_time(claim, &time));
    time.reference = "timestamp/x-ntp";
    time.timestamp = 12345;
    OK(shmflow_claim_add_reference_time(claim, &time));

    OK(shmflow_claim_set_tags(claim, "taglist, title=(string)one", 0));
    OK(shmflow_claim_set_tags(claim, "taglist, title=(string)all", 1));
    OK(shmflow_claim_set_tags(claim, "taglist, title=(string)two", 0));
    OK(shmflow_claim_add_entry(claim, SHMFLOW_ENTRY_PRIVATE + 1, "first", 5));
    OK(shmflow_claim_add_entry(claim, SHMFLOW_ENTRY_PRIVATE + 1, "second", 6));
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_claim_add_entry(claim, 0x10000, "x", 1));
    /* Those that have calls of their own. */
    GIVES(SHMFLOW_INVALID_METADATA, shmflow_claim_add_entry(claim, 1, "x", 1));

    shmflow_frame *frame = pass(claim, consumer);
    CHECK(shmflow_frame_time_code_count(frame) == 2);
    OK(shmflow_frame_time_code(frame, 0, &code, sizeof code));
    CHECK(code.has_daily_jam == 0 && code.fps_n == 30000 && code.fps_d == 1001 && code.hours == 10);
    OK(shmflow_frame_time_code(frame, 1, &code, sizeof code));
    CHECK(code.has_daily_jam == 1 && code.daily_jam_us == -5 && code.daily_jam_offset == 3600 && code.frames == 29);
    CHECK(shmflow_frame_caption_count(frame) == 1);
    OK(shmflow_frame_caption(frame, 0, &caption, sizeof caption));
    CHECK(caption.kind == SHMFLOW_CAPTION_CEA608 && caption.length == 2);
    CHECK(memcmp(caption.data, "\x94\x2c", 2) == 0);
    CHECK(shmflow_frame_reference_time_count(frame) == 1);
    OK(shmflow_frame_reference_time(frame, 0, &time, sizeof time));
    CHECK(strcmp(time.reference, "timestamp/x-ntp") == 0 && time.info == NULL);
    CHECK(time.timestamp == 12345 && time.duration == SHMFLOW_NO_TIME);
    CHECK(strstr(shmflow_frame_tags(frame, 0), "two") != NULL && strstr(shmflow_frame_tags(frame, 1), "all") != NULL);
    size_t length;
    const void *entry = shmflow_frame_entry(frame, SHMFLOW_ENTRY_PRIVATE + 1, 1, &length);
    CHECK(length == 6 && memcmp(entry, "second", 6) == 0);
    CHECK(shmflow_frame_entry(frame, SHMFLOW_ENTRY_PRIVATE + 1, 2, &length) == NULL && length == 0);
    shmflow_frame_release(frame);

    /* Without any of it. */
    frame = pass(claim_of(producer, 1), consumer);
    CHECK(shmflow_frame_time_code_count(frame) == 0 && shmflow_frame_tags(frame, 0) == NULL);
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_frame_time_code(frame, 0, &code, sizeof code));
    GIVES(SHMFLOW_NO_METADATA, shmflow_frame_audio(frame, &(shmflow_audio){.size = 0}, sizeof(shmflow_audio)));
    shmflow_frame_release(frame);
}

static void audio(shmflow_producer *producer, shmflow_consumer *consumer) {
    int16_t samples[2 * 240];
    for (size_t i = 0; i < 2 * 240; i++) {
        samples[i] = (int16_t)i;
    }
    shmflow_audio sound;
    OK(shmflow_audio_init(&sound, sizeof sound));
    shmflow_metadata metadata;
    OK(shmflow_metadata_init(&metadata, sizeof metadata));
    metadata.audio = &sound;
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_producer_write(producer, samples, sizeof samples, &metadata, NULL));
    sound.format = "S16LE";
    sound.rate = 48000;
    sound.channels = 2;
    sound.samples = 241;
    GIVES(SHMFLOW_INVALID_METADATA, shmflow_producer_write(producer, samples, sizeof samples, &metadata, NULL));
    sound.samples = 240;
    OK(shmflow_producer_write(producer, samples, sizeof samples, &metadata, NULL));
    const uint64_t offsets[] = {0, 480};
    sound.channel_offsets = offsets;
    OK(shmflow_producer_write(producer, samples, sizeof samples, &metadata, NULL));
    metadata.format = "BGR";
    metadata.width = metadata.height = 2;
    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_producer_write(producer, samples, sizeof samples, &metadata, NULL));

    for (int planar = 0; planar < 2; planar++) {
        shmflow_frame *frame;
        OK(shmflow_consumer_receive(consumer, 10000, &frame));
        OK(shmflow_frame_audio(frame, &sound, sizeof sound));
        CHECK(strcmp(sound.format, "S16LE") == 0 && sound.rate == 48000 && sound.channels == 2);
        CHECK(sound.samples == 240 && (sound.channel_offsets != NULL) == planar);
        const char *layout = planar ? "layout=(string)non-interleaved" : "layout=(string)interleaved";
        CHECK(strstr(shmflow_frame_caps(frame), "audio/x-raw") != NULL);
        CHECK(strstr(shmflow_frame_caps(frame), layout) != NULL);
        const int16_t *second = (const int16_t *)shmflow_frame_audio_channel(frame, 1);
        CHECK(second != NULL && *second == (planar ? 240 : 1));
        CHECK(shmflow_frame_audio_channel(frame, 2) == NULL);
        shmflow_frame_release(frame);
    }
}

int main(void) {
    shmflow_producer *producer;
    shmflow_consumer *consumer;
    OK(shmflow_producer_open("metas", NULL, &producer));
    OK(shmflow_consumer_open("metas", NULL, &consumer));
    findings(producer, consumer);
    times_and_texts(producer, consumer);
    audio(producer, consumer);
    shmflow_consumer_close(consumer);
    shmflow_producer_close(producer);
    puts("done");
    return 0;
}
