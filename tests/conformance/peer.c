/* The conformance program in C; README.md has what it is told and what it says. */
#define _GNU_SOURCE
#include "words.h"

#include <time.h>

#include "shmflow.h"

#define PATIENCE_MS 60000

static shmflow_producer *producer;
static shmflow_consumer *consumer;
/* The first frame's times: a producer's capture, a consumer's presentation and capture. */
static uint64_t started, first_pts, first_capture;

static int said(shmflow_status status) {
    if (status == SHMFLOW_OK)
        return 0;
    printf("error\t%s\n", shmflow_last_error_message());
    return 1;
}

static void need(shmflow_status status) {
    if (status != SHMFLOW_OK)
        fail(shmflow_last_error_message());
}

static int open_producer(const line *line) {
    shmflow_producer_options options;
    need(shmflow_producer_options_init(&options, sizeof options));
    options.depth = (uint32_t)number(line, "depth", 8);
    options.history = (uint32_t)number(line, "history", 0);
    options.persistent = (int32_t)number(line, "persistent", 0);
    if (number(line, "lossless", 0))
        options.overflow_policy = SHMFLOW_OVERFLOW_LOSSLESS;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    started = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return said(shmflow_producer_open(word(line, "topic"), &options, &producer));
}

static void describe(const line *line, shmflow_metadata *metadata, shmflow_audio *audio, uint64_t *channels) {
    need(shmflow_metadata_init(metadata, sizeof *metadata));
    metadata->caps = word(line, "caps");
    metadata->flags = flags_of(word(line, "flags"));
    metadata->pts = number(line, "pts", SHMFLOW_NO_TIME);
    metadata->duration = number(line, "duration", SHMFLOW_NO_TIME);
#ifdef SHMFLOW_NO_OFFSET /* Builds before it could not write these. */
    metadata->dts = number(line, "dts", SHMFLOW_NO_TIME);
    metadata->offset = number(line, "offset", SHMFLOW_NO_OFFSET);
    metadata->offset_end = number(line, "offset_end", SHMFLOW_NO_OFFSET);
#endif
    if (metadata->pts != SHMFLOW_NO_TIME)
        metadata->capture_time = started + metadata->pts;
    int64_t some[16];
    if (word(line, "format") != NULL) {
        metadata->format = word(line, "format");
        metadata->width = (uint32_t)number(line, "width", 0);
        metadata->height = (uint32_t)number(line, "height", 0);
        metadata->fps_n = (uint32_t)number(line, "fps", 0);
        int count = numbers(word(line, "planes"), some, 8);
        for (int i = 0; i < count / 2; i++)
            metadata->planes[i] = (shmflow_plane_layout){(uint64_t)some[2 * i], (int32_t)some[2 * i + 1], 0};
        metadata->plane_count = (uint32_t)count / 2;
        if (numbers(word(line, "crop"), some, 4) == 4) {
            metadata->crop_x = (uint32_t)some[0], metadata->crop_y = (uint32_t)some[1];
            metadata->crop_width = (uint32_t)some[2], metadata->crop_height = (uint32_t)some[3];
        }
    } else if (word(line, "sample") != NULL) {
        need(shmflow_audio_init(audio, sizeof *audio));
        audio->format = word(line, "sample");
        audio->rate = (uint32_t)number(line, "rate", 0);
        audio->channels = (uint32_t)number(line, "channels", 0);
        audio->samples = number(line, "samples", 0);
        audio->channel_mask = number(line, "mask", 0);
        if (word(line, "offsets") != NULL) {
            int count = numbers(word(line, "offsets"), some, 16);
            for (int i = 0; i < count; i++)
                channels[i] = (uint64_t)some[i];
            audio->channel_offsets = channels;
        }
        metadata->audio = audio;
    }
}

static void put_text(char *to, size_t *at, const char *text) {
    uint32_t length = (uint32_t)strlen(text);
    memcpy(to + *at, &length, 4);
    memcpy(to + *at + 4, text, length);
    *at += 4 + (length + 3) / 4 * 4;
}

static void attach(const line *line, shmflow_claim *claim) {
    int64_t some[8];
    char *text;
    if ((text = word(line, "tags")) != NULL)
        need(shmflow_claim_set_tags(claim, text, 0));
    for (int n = 0; (text = nth(line, "region", n)) != NULL; n++) {
        shmflow_region region;
        need(shmflow_region_init(&region, sizeof region));
        region.kind = strsep(&text, ":");
        numbers(text, some, 6);
        region.x = (uint32_t)some[0], region.y = (uint32_t)some[1];
        region.width = (uint32_t)some[2], region.height = (uint32_t)some[3];
        region.id = (int32_t)some[4], region.parent_id = (int32_t)some[5];
        need(shmflow_claim_add_region(claim, &region));
    }
    for (int n = 0; (text = nth(line, "timecode", n)) != NULL; n++) {
        shmflow_time_code code;
        need(shmflow_time_code_init(&code, sizeof code));
        numbers(text, some, 7);
        code.fps_n = (uint32_t)some[0], code.fps_d = (uint32_t)some[1], code.flags = (uint32_t)some[2];
        code.hours = (uint32_t)some[3], code.minutes = (uint32_t)some[4], code.seconds = (uint32_t)some[5];
        code.frames = (uint32_t)some[6];
        need(shmflow_claim_add_time_code(claim, &code));
    }
    for (int n = 0; (text = nth(line, "caption", n)) != NULL; n++) {
        unsigned char bytes[256];
        shmflow_caption caption;
        need(shmflow_caption_init(&caption, sizeof caption));
        caption.kind = (uint32_t)strtoul(strsep(&text, ":"), NULL, 10);
        caption.data = bytes;
        caption.length = unhex(text, bytes, sizeof bytes);
        need(shmflow_claim_add_caption(claim, &caption));
    }
    for (int n = 0; (text = nth(line, "reference", n)) != NULL; n++) {
        shmflow_reference_time time;
        need(shmflow_reference_time_init(&time, sizeof time));
        time.reference = strsep(&text, ":");
        numbers(text, some, 2);
        time.timestamp = (uint64_t)some[0], time.duration = (uint64_t)some[1];
        need(shmflow_claim_add_reference_time(claim, &time));
    }
    for (int n = 0; (text = nth(line, "custom", n)) != NULL; n++) {
        /* Type 13 of docs/metadata.md: there is no structure for it. */
        char value[512] = {0};
        size_t length = 0;
        put_text(value, &length, strsep(&text, ";"));
        put_text(value, &length, text);
        need(shmflow_claim_add_entry(claim, 13, value, length));
    }
    for (int n = 0; (text = nth(line, "detection", n)) != NULL; n++) {
        shmflow_detection found;
        need(shmflow_detection_init(&found, sizeof found));
        found.label = strsep(&text, ":");
        found.score = strtof(strsep(&text, ":"), NULL);
        numbers(text, some, 4);
        found.x = (int32_t)some[0], found.y = (int32_t)some[1], found.width = (int32_t)some[2], found.height = (int32_t)some[3];
        need(shmflow_claim_add_detection(claim, &found));
    }
    for (int n = 0; (text = nth(line, "private", n)) != NULL; n++) {
        unsigned char bytes[256];
        uint32_t type = (uint32_t)strtoul(strsep(&text, ":"), NULL, 10);
        size_t length = unhex(text, bytes, sizeof bytes);
        need(shmflow_claim_add_entry(claim, type, bytes, length));
    }
}

static int write_frame(const line *line) {
    size_t length = (size_t)number(line, "length", 0);
    shmflow_claim *claim;
    if (said(shmflow_producer_claim(producer, length, &claim)))
        return 1;
    fill(shmflow_claim_data(claim), length, number(line, "seed", 0));
    if (number(line, "bare", 0) == 0) {
        shmflow_metadata metadata;
        shmflow_audio audio;
        uint64_t channels[16];
        describe(line, &metadata, &audio, channels);
        if (said(shmflow_claim_set_metadata(claim, &metadata))) {
            shmflow_claim_abandon(claim);
            return 1;
        }
        attach(line, claim);
    }
    return said(shmflow_claim_publish(claim, NULL));
}

static void print_picture(const shmflow_frame *frame) {
    /* The picture is what the caps say: the crop where it has their size. */
    uint32_t x = 0, y = 0, width = shmflow_frame_width(frame), height = shmflow_frame_height(frame);
    const char *caps = shmflow_frame_caps(frame);
    const char *across = caps == NULL ? NULL : strstr(caps, "width=(int)"), *down = caps == NULL ? NULL : strstr(caps, "height=(int)");
    shmflow_crop crop;
    if (across != NULL && down != NULL && shmflow_frame_crop(frame, &crop, sizeof crop) == SHMFLOW_OK) {
        width = (uint32_t)strtoul(across + 11, NULL, 10), height = (uint32_t)strtoul(down + 12, NULL, 10);
        if (crop.width == width && crop.height == height)
            x = crop.x, y = crop.y;
    }
    printf("\tsize=%ux%u", width, height);
    const struct shape *shape = shape_of(shmflow_frame_format(frame));
    for (uint32_t i = 0; i < shmflow_frame_plane_count(frame); i++) {
        shmflow_plane plane;
        need(shmflow_frame_plane(frame, i, &plane, sizeof plane));
        print_plane(shape, (int)i, plane.data, plane.stride, x, y, width, height);
    }
}

static void print_sound(const shmflow_frame *frame, const shmflow_audio *audio) {
    size_t bytes = (size_t)strtoul(audio->format + 1, NULL, 10) / 8;
    printf("\taudio=%s:%u:%u:%llu:%s", audio->format, audio->rate, audio->channels, (unsigned long long)audio->samples,
           audio->channel_offsets == NULL ? "interleaved" : "planar");
    for (uint32_t channel = 0; channel < audio->channels; channel++) {
        const unsigned char *first = shmflow_frame_audio_channel(frame, channel);
        print_channel(first, (size_t)audio->samples, bytes, audio->channel_offsets == NULL ? bytes * audio->channels : bytes);
    }
}

static void print_attached(const shmflow_frame *frame) {
    const char *tags = shmflow_frame_tags(frame, 0);
    if (tags != NULL)
        printf("\ttags=%s", tags);
    for (size_t i = 0; i < shmflow_frame_region_count(frame); i++) {
        shmflow_region region;
        need(shmflow_frame_region(frame, i, &region, sizeof region));
        printf("\tregion=%s:%u:%u:%u:%u:%d:%d", region.kind, region.x, region.y, region.width, region.height, region.id,
               region.parent_id);
    }
    for (size_t i = 0; i < shmflow_frame_time_code_count(frame); i++) {
        shmflow_time_code code;
        need(shmflow_frame_time_code(frame, i, &code, sizeof code));
        printf("\ttimecode=%u:%u:%u:%u:%u:%u:%u", code.fps_n, code.fps_d, code.flags, code.hours, code.minutes, code.seconds,
               code.frames);
    }
    for (size_t i = 0; i < shmflow_frame_caption_count(frame); i++) {
        shmflow_caption caption;
        need(shmflow_frame_caption(frame, i, &caption, sizeof caption));
        printf("\tcaption=%u:", caption.kind);
        print_hex(caption.data, caption.length);
    }
    for (size_t i = 0; i < shmflow_frame_reference_time_count(frame); i++) {
        shmflow_reference_time time;
        need(shmflow_frame_reference_time(frame, i, &time, sizeof time));
        printf("\treference=%s:%llu:%llu", time.reference, (unsigned long long)time.timestamp, (unsigned long long)time.duration);
    }
    size_t length;
    const char *entry;
    for (uint32_t i = 0; (entry = shmflow_frame_entry(frame, 13, i, &length)) != NULL; i++) {
        uint32_t name, structure;
        memcpy(&name, entry, 4);
        const char *rest = entry + 4 + (name + 3) / 4 * 4;
        memcpy(&structure, rest, 4);
        printf("\tcustom=%.*s;%.*s", (int)name, entry + 4, (int)structure, rest + 4);
    }
    for (size_t i = 0; i < shmflow_frame_detection_count(frame); i++) {
        shmflow_detection found;
        need(shmflow_frame_detection(frame, i, &found, sizeof found));
        printf("\tdetection=%s:%g:%d:%d:%d:%d", found.label, (double)found.score, found.x, found.y, found.width, found.height);
    }
    for (uint32_t i = 0; (entry = shmflow_frame_entry(frame, SHMFLOW_ENTRY_PRIVATE, i, &length)) != NULL; i++) {
        printf("\tprivate=%d:", SHMFLOW_ENTRY_PRIVATE);
        print_hex(entry, length);
    }
}

static void print_frame(const shmflow_frame *frame) {
    if (shmflow_frame_metadata_status(frame) == SHMFLOW_INVALID_METADATA)
        fail(shmflow_last_error_message());
    printf("frame\tseq=%llu", (unsigned long long)shmflow_frame_sequence(frame));
    if (shmflow_frame_lost_before(frame) > 0)
        printf("\tlost=%llu", (unsigned long long)shmflow_frame_lost_before(frame));
    const char *caps = shmflow_frame_caps(frame);
    if (caps != NULL)
        printf("\tcaps=%s", caps);
    size_t block_length;
    const unsigned char *block = shmflow_frame_metadata_block(frame, &block_length);
    printf("\tkind=%d", block_length > 14 ? block[14] : 0);
    print_flags(shmflow_frame_flags(frame));
    uint64_t pts = shmflow_frame_pts(frame), capture = shmflow_frame_capture_time(frame);
    if (first_pts == UINT64_MAX)
        first_pts = pts;
    if (first_capture == UINT64_MAX)
        first_capture = capture;
    print_time("pts", pts, first_pts);
    print_time("dts", shmflow_frame_dts(frame), first_pts);
    print_time("capture", capture, first_capture);
    print_number("duration", shmflow_frame_duration(frame));
#ifdef SHMFLOW_NO_OFFSET
    print_number("offset", shmflow_frame_offset(frame));
    print_number("offset_end", shmflow_frame_offset_end(frame));
#endif
    shmflow_audio audio;
    if (shmflow_frame_format(frame) != NULL)
        print_picture(frame);
    else if (shmflow_frame_audio(frame, &audio, sizeof audio) == SHMFLOW_OK && audio.format != NULL)
        print_sound(frame, &audio);
    else
        printf("\tbytes=%zu:%08x", shmflow_frame_length(frame), crc(0, shmflow_frame_data(frame), shmflow_frame_length(frame)));
    print_attached(frame);
    printf("\n");
}

static int join(const line *line) {
    shmflow_consumer_options options;
    need(shmflow_consumer_options_init(&options, sizeof options));
    first_pts = first_capture = UINT64_MAX;
    return said(shmflow_consumer_open(word(line, "topic"), &options, &consumer));
}

static int take(const line *line) {
    for (uint64_t left = number(line, "count", 1); left > 0; left--) {
        shmflow_frame *frame;
        if (said(shmflow_consumer_receive(consumer, PATIENCE_MS, &frame)))
            return 1;
        print_frame(frame);
        shmflow_frame_release(frame);
    }
    return 0;
}

static int ended(void) {
    shmflow_frame *frame;
    shmflow_status status = shmflow_consumer_receive(consumer, PATIENCE_MS, &frame);
    if (status != SHMFLOW_ENDED)
        printf("error\tinstead of the end came %s\n", shmflow_status_name(status));
    return status != SHMFLOW_ENDED;
}

int main(void) {
    line line;
    while (read_line(&line)) {
        int failed = 0;
        if (strcmp(line.verb, "open") == 0)
            failed = open_producer(&line);
        else if (strcmp(line.verb, "frame") == 0)
            failed = write_frame(&line);
        else if (strcmp(line.verb, "end") == 0)
            failed = said(shmflow_producer_end(producer));
        else if (strcmp(line.verb, "close") == 0)
            shmflow_producer_close(producer);
        else if (strcmp(line.verb, "join") == 0)
            failed = join(&line);
        else if (strcmp(line.verb, "take") == 0)
            failed = take(&line);
        else if (strcmp(line.verb, "ended") == 0)
            failed = ended();
        else if (strcmp(line.verb, "leave") == 0)
            shmflow_consumer_close(consumer);
        else
            fail("that is no verb");
        if (!failed)
            printf("ok\n");
        fflush(stdout);
    }
    return 0;
}
