/* The conformance program of the elements; README.md has what it is told and what it says. */
#define _GNU_SOURCE
#include "words.h"

#include <dlfcn.h>
#include <gst/app/gstappsink.h>
#include <gst/audio/audio.h>
#include <gst/gst.h>
#include <gst/video/gstvideometa.h>
#include <gst/video/video.h>

#define PATIENCE (60 * GST_SECOND)

/* A producer: a pad that is pushed into shmflowsink. */
static GstElement *sending, *sink;
static GstPad *pad;
/* A consumer: shmflowsrc in front of an appsink. */
static GstElement *receiving, *out;
static uint64_t first_pts;

/* Says the error that is on a pipeline's bus, if there is one. */
static int said_error(GstElement *pipeline, GstClockTime patience) {
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *message = gst_bus_timed_pop_filtered(bus, patience, GST_MESSAGE_ERROR);
    gst_object_unref(bus);
    if (message == NULL)
        return 0;
    GError *error;
    gst_message_parse_error(message, &error, NULL);
    printf("error\t%s\n", error->message);
    g_error_free(error);
    gst_message_unref(message);
    return 1;
}

static void stop(GstElement **pipeline) {
    if (*pipeline == NULL)
        return;
    gst_element_set_state(*pipeline, GST_STATE_NULL);
    gst_object_unref(*pipeline);
    *pipeline = NULL;
}

static void close_producer(void) {
    stop(&sending);
    if (pad != NULL)
        gst_object_unref(pad);
    pad = NULL;
}

static int open_producer(const line *line) {
    close_producer();
    sending = gst_pipeline_new(NULL);
    sink = gst_element_factory_make("shmflowsink", NULL);
    if (sink == NULL)
        fail("there is no shmflowsink");
    g_object_set(sink, "topic", word(line, "topic"), "sync", FALSE, "max-buffers", (guint)number(line, "depth", 8), "history",
                 (guint)number(line, "history", 0), "persistent", (gboolean)number(line, "persistent", 0), NULL);
    if (number(line, "lossless", 0))
        gst_util_set_object_arg(G_OBJECT(sink), "leaky-type", "none");
    gst_bin_add(GST_BIN(sending), sink);
    pad = gst_pad_new("src", GST_PAD_SRC);
    GstPad *of_sink = gst_element_get_static_pad(sink, "sink");
    gst_pad_set_active(pad, TRUE);
    gst_pad_link(pad, of_sink);
    gst_object_unref(of_sink);
    if (gst_element_set_state(sending, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE)
        return said_error(sending, PATIENCE);
    gst_pad_push_event(pad, gst_event_new_stream_start("conformance"));
    return 0;
}

static void set_flags(GstBuffer *buffer, uint32_t flags) {
    static const struct {
        uint32_t ours, theirs;
    } table[] = {
        {1 << 0, GST_BUFFER_FLAG_DISCONT},         {1 << 1, GST_BUFFER_FLAG_CORRUPTED},
        {1 << 2, GST_BUFFER_FLAG_GAP},             {1 << 3, GST_BUFFER_FLAG_MARKER},
        {1 << 4, GST_BUFFER_FLAG_HEADER},          {1 << 5, GST_BUFFER_FLAG_DELTA_UNIT},
        {1 << 6, GST_BUFFER_FLAG_DROPPABLE},       {1 << 7, GST_BUFFER_FLAG_NON_DROPPABLE},
        {1 << 8, GST_BUFFER_FLAG_RESYNC},          {1 << 9, GST_BUFFER_FLAG_LIVE},
        {1 << 10, GST_BUFFER_FLAG_DECODE_ONLY},    {1 << 16, GST_VIDEO_BUFFER_FLAG_INTERLACED},
        {1 << 17, GST_VIDEO_BUFFER_FLAG_TFF},      {1 << 18, GST_VIDEO_BUFFER_FLAG_RFF},
        {1 << 19, GST_VIDEO_BUFFER_FLAG_ONEFIELD},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        if (flags & table[i].ours)
            GST_BUFFER_FLAG_SET(buffer, table[i].theirs);
}

static uint32_t get_flags(GstBuffer *buffer) {
    uint32_t flags = 0;
    for (size_t i = 0; i < N_FLAGS; i++) {
        GstBuffer *one = gst_buffer_new();
        set_flags(one, FLAGS[i].flag);
        guint theirs = GST_BUFFER_FLAGS(one) & ~(guint)GST_BUFFER_FLAG_TAG_MEMORY;
        if (theirs != 0 && (GST_BUFFER_FLAGS(buffer) & theirs) == theirs)
            flags |= FLAGS[i].flag;
        gst_buffer_unref(one);
    }
    return flags;
}

/* Sets stream and segment, and caps and tags where they are new. */
static void negotiate(const line *line) {
    static char *text_of_tags;
    const char *text = word(line, "caps"), *tags = word(line, "tags");
    if (text != NULL) {
        GstCaps *caps = gst_caps_from_string(text), *now = gst_pad_get_current_caps(pad);
        if (now == NULL || !gst_caps_is_equal(now, caps))
            gst_pad_push_event(pad, gst_event_new_caps(caps));
        g_clear_pointer(&now, gst_caps_unref);
        gst_caps_unref(caps);
    }
    GstEvent *there = gst_pad_get_sticky_event(pad, GST_EVENT_SEGMENT, 0);
    if (there == NULL) {
        GstSegment segment;
        gst_segment_init(&segment, GST_FORMAT_TIME);
        gst_pad_push_event(pad, gst_event_new_segment(&segment));
        g_clear_pointer(&text_of_tags, g_free);
    } else {
        gst_event_unref(there);
    }
    if (tags != NULL && g_strcmp0(tags, text_of_tags) != 0) {
        gst_pad_push_event(pad, gst_event_new_tag(gst_tag_list_new_from_string(tags)));
        g_free(text_of_tags);
        text_of_tags = g_strdup(tags);
    }
}

static void lay_out(const line *line, GstBuffer *buffer) {
    int64_t some[16];
    if (word(line, "format") != NULL && word(line, "planes") != NULL) {
        gsize offsets[4] = {0};
        gint strides[4] = {0};
        int count = numbers(word(line, "planes"), some, 8) / 2;
        for (int i = 0; i < count; i++)
            offsets[i] = (gsize)some[2 * i], strides[i] = (gint)some[2 * i + 1];
        gst_buffer_add_video_meta_full(buffer, GST_VIDEO_FRAME_FLAG_NONE, gst_video_format_from_string(word(line, "format")),
                                       (guint)number(line, "width", 0), (guint)number(line, "height", 0), (guint)count, offsets,
                                       strides);
        if (numbers(word(line, "crop"), some, 4) == 4) {
            GstVideoCropMeta *crop = gst_buffer_add_video_crop_meta(buffer);
            crop->x = (guint)some[0], crop->y = (guint)some[1], crop->width = (guint)some[2], crop->height = (guint)some[3];
        }
    } else if (word(line, "offsets") != NULL) {
        GstAudioInfo info;
        GstCaps *caps = gst_caps_from_string(word(line, "caps"));
        gsize offsets[16];
        gst_audio_info_from_caps(&info, caps);
        gst_caps_unref(caps);
        int count = numbers(word(line, "offsets"), some, 16);
        for (int i = 0; i < count; i++)
            offsets[i] = (gsize)some[i];
        gst_buffer_add_audio_meta(buffer, &info, (gsize)number(line, "samples", 0), offsets);
    }
}

static void attach(const line *line, GstBuffer *buffer) {
    int64_t some[8];
    char *text;
    for (int n = 0; (text = nth(line, "region", n)) != NULL; n++) {
        const char *kind = strsep(&text, ":");
        numbers(text, some, 6);
        GstVideoRegionOfInterestMeta *region = gst_buffer_add_video_region_of_interest_meta(
            buffer, kind, (guint)some[0], (guint)some[1], (guint)some[2], (guint)some[3]);
        region->id = (gint)some[4], region->parent_id = (gint)some[5];
    }
    for (int n = 0; (text = nth(line, "timecode", n)) != NULL; n++) {
        numbers(text, some, 7);
        gst_buffer_add_video_time_code_meta_full(buffer, (guint)some[0], (guint)some[1], NULL, (GstVideoTimeCodeFlags)some[2],
                                                 (guint)some[3], (guint)some[4], (guint)some[5], (guint)some[6], 0);
    }
    for (int n = 0; (text = nth(line, "caption", n)) != NULL; n++) {
        unsigned char bytes[256];
        /* 1 to 4 in GStreamer, too. */
        GstVideoCaptionType kind = (GstVideoCaptionType)strtoul(strsep(&text, ":"), NULL, 10);
        gst_buffer_add_video_caption_meta(buffer, kind, bytes, unhex(text, bytes, sizeof bytes));
    }
    for (int n = 0; (text = nth(line, "reference", n)) != NULL; n++) {
        GstCaps *reference = gst_caps_from_string(strsep(&text, ":"));
        numbers(text, some, 2);
        gst_buffer_add_reference_timestamp_meta(buffer, reference, (GstClockTime)some[0], (GstClockTime)some[1]);
        gst_caps_unref(reference);
    }
    for (int n = 0; (text = nth(line, "custom", n)) != NULL; n++) {
        GstCustomMeta *meta = gst_buffer_add_custom_meta(buffer, strsep(&text, ";"));
        GstStructure *from = gst_structure_from_string(text, NULL);
        gint number;
        if (meta == NULL || from == NULL || !gst_structure_get_int(from, "x", &number))
            fail("a custom meta that no case has");
        gst_structure_set(gst_custom_meta_get_structure(meta), "x", G_TYPE_INT, number, NULL);
        gst_structure_free(from);
    }
}

static int write_frame(const line *line) {
    negotiate(line);
    size_t length = (size_t)number(line, "length", 0);
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, length, NULL);
    GstMapInfo map;
    gst_buffer_map(buffer, &map, GST_MAP_WRITE);
    fill(map.data, length, number(line, "seed", 0));
    gst_buffer_unmap(buffer, &map);
    GST_BUFFER_PTS(buffer) = number(line, "pts", GST_CLOCK_TIME_NONE);
    GST_BUFFER_DTS(buffer) = number(line, "dts", GST_CLOCK_TIME_NONE);
    GST_BUFFER_DURATION(buffer) = number(line, "duration", GST_CLOCK_TIME_NONE);
    GST_BUFFER_OFFSET(buffer) = number(line, "offset", GST_BUFFER_OFFSET_NONE);
    GST_BUFFER_OFFSET_END(buffer) = number(line, "offset_end", GST_BUFFER_OFFSET_NONE);
    set_flags(buffer, flags_of(word(line, "flags")));
    lay_out(line, buffer);
    attach(line, buffer);
    GstFlowReturn flow = gst_pad_push(pad, buffer);
    if (flow == GST_FLOW_OK)
        return 0;
    if (!said_error(sending, GST_SECOND))
        printf("error\tthe sink says %s\n", gst_flow_get_name(flow));
    return 1;
}

/* Elements that read strides and crop say so when they are asked. */
static GstPadProbeReturn answer(GstPad *of, GstPadProbeInfo *info, gpointer user) {
    (void)of, (void)user;
    GstQuery *query = GST_PAD_PROBE_INFO_QUERY(info);
    if (GST_QUERY_TYPE(query) != GST_QUERY_ALLOCATION)
        return GST_PAD_PROBE_OK;
    gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);
    gst_query_add_allocation_meta(query, GST_VIDEO_CROP_META_API_TYPE, NULL);
    gst_query_add_allocation_meta(query, GST_AUDIO_META_API_TYPE, NULL);
    return GST_PAD_PROBE_HANDLED;
}

static int join(const line *line, int reads_strides) {
    stop(&receiving);
    first_pts = UINT64_MAX;
    receiving = gst_pipeline_new(NULL);
    GstElement *source = gst_element_factory_make("shmflowsrc", NULL);
    out = gst_element_factory_make("appsink", NULL);
    if (source == NULL || out == NULL)
        fail("there is no shmflowsrc, or no appsink");
    g_object_set(source, "topic", word(line, "topic"), "is-live", FALSE, NULL);
    g_object_set(out, "sync", FALSE, "max-buffers", 1, "enable-last-sample", FALSE, NULL);
    gst_bin_add_many(GST_BIN(receiving), source, out, NULL);
    gst_element_link(source, out);
    GstPad *of_sink = gst_element_get_static_pad(out, "sink");
    if (reads_strides)
        gst_pad_add_probe(of_sink, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, answer, NULL, NULL);
    gst_object_unref(of_sink);
    if (gst_element_set_state(receiving, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE)
        return said_error(receiving, PATIENCE);
    /* The first frame is there, or an error. */
    return 0;
}

static void print_picture(GstBuffer *buffer, GstCaps *caps) {
    GstVideoInfo info;
    GstVideoFrame frame;
    gst_video_info_from_caps(&info, caps);
    uint32_t width = (uint32_t)info.width, height = (uint32_t)info.height;
    GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta(buffer);
    if (!gst_video_frame_map(&frame, &info, buffer, GST_MAP_READ))
        fail("a picture cannot be mapped");
    printf("\tsize=%ux%u", width, height);
    const struct shape *shape = shape_of(gst_video_format_to_string(GST_VIDEO_INFO_FORMAT(&info)));
    for (int i = 0; i < shape->planes; i++)
        print_plane(shape, i, GST_VIDEO_FRAME_PLANE_DATA(&frame, i), GST_VIDEO_FRAME_PLANE_STRIDE(&frame, i),
                    crop == NULL ? 0 : crop->x, crop == NULL ? 0 : crop->y, width, height);
    gst_video_frame_unmap(&frame);
}

static void print_sound(GstBuffer *buffer, GstCaps *caps) {
    GstAudioInfo info;
    GstAudioBuffer sound;
    gst_audio_info_from_caps(&info, caps);
    if (!gst_audio_buffer_map(&sound, &info, buffer, GST_MAP_READ))
        fail("sound cannot be mapped");
    size_t bytes = (size_t)GST_AUDIO_INFO_BPS(&info), channels = (size_t)GST_AUDIO_INFO_CHANNELS(&info);
    gboolean planar = GST_AUDIO_INFO_LAYOUT(&info) == GST_AUDIO_LAYOUT_NON_INTERLEAVED;
    printf("\taudio=%s:%d:%zu:%zu:%s", gst_audio_format_to_string(GST_AUDIO_INFO_FORMAT(&info)), GST_AUDIO_INFO_RATE(&info),
           channels, sound.n_samples, planar ? "planar" : "interleaved");
    for (size_t channel = 0; channel < channels; channel++) {
        const unsigned char *first = sound.planes[planar ? channel : 0];
        print_channel(planar ? first : first + channel * bytes, sound.n_samples, bytes, planar ? bytes : bytes * channels);
    }
    gst_audio_buffer_unmap(&sound);
}

/* With an analytics library (GStreamer 1.24 and newer), which this program is not linked to, a detection arrives in its form. */
struct mtd {
    guint id;
    void *meta;
};

static void print_analytics(GstBuffer *buffer) {
    /* It stays: what it has registered does. */
    static void *library;
    if (library == NULL && (library = dlopen("libgstanalytics-1.0.so.0", RTLD_NOW)) == NULL)
        return;
    void *(*of_buffer)(GstBuffer *) = (void *(*)(GstBuffer *))dlsym(library, "gst_buffer_get_analytics_relation_meta");
    gsize (*length)(void *) = (gsize (*)(void *))dlsym(library, "gst_analytics_relation_get_length");
    gboolean (*get)(void *, guint, gsize, struct mtd *) =
        (gboolean (*)(void *, guint, gsize, struct mtd *))dlsym(library, "gst_analytics_relation_meta_get_mtd");
    gsize (*object)(void) = (gsize (*)(void))dlsym(library, "gst_analytics_od_mtd_get_mtd_type");
    GQuark (*label)(struct mtd *) = (GQuark (*)(struct mtd *))dlsym(library, "gst_analytics_od_mtd_get_obj_type");
    gboolean (*place)(struct mtd *, gint *, gint *, gint *, gint *, gfloat *) =
        (gboolean (*)(struct mtd *, gint *, gint *, gint *, gint *, gfloat *))dlsym(library, "gst_analytics_od_mtd_get_location");
    if (!of_buffer || !length || !get || !object || !label || !place)
        fail("the analytics library lacks a function");
    void *meta = of_buffer(buffer);
    struct mtd found;
    gint x, y, width, height;
    gfloat score;
    for (guint id = 0; meta != NULL && id < length(meta); id++)
        if (get(meta, id, object(), &found) && place(&found, &x, &y, &width, &height, &score))
            printf("\tdetection=%s:%g:%d:%d:%d:%d", g_quark_to_string(label(&found)), score, x, y, width, height);
}

/* Without one, as a region with a structure. */
static GstStructure *detection_of(GstVideoRegionOfInterestMeta *region) {
    return gst_video_region_of_interest_meta_get_param(region, "detection");
}

static gboolean print_meta(GstBuffer *buffer, GstMeta **meta, gpointer which) {
    (void)buffer;
    const char *wanted = which;
    GType api = (*meta)->info->api;
    if (api == GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE) {
        GstVideoRegionOfInterestMeta *region = (GstVideoRegionOfInterestMeta *)*meta;
        const char *kind = g_quark_to_string(region->roi_type);
        GstStructure *found = detection_of(region);
        gdouble score = 0;
        if (found != NULL && g_str_equal(wanted, "detection") && gst_structure_get_double(found, "confidence", &score))
            printf("\tdetection=%s:%g:%d:%d:%d:%d", kind, score, (int)region->x, (int)region->y, (int)region->w, (int)region->h);
        else if (found == NULL && g_str_equal(wanted, "region"))
            printf("\tregion=%s:%u:%u:%u:%u:%d:%d", kind, region->x, region->y, region->w, region->h, region->id,
                   region->parent_id);
    } else if (api == GST_VIDEO_TIME_CODE_META_API_TYPE && g_str_equal(wanted, "timecode")) {
        GstVideoTimeCode *code = &((GstVideoTimeCodeMeta *)*meta)->tc;
        printf("\ttimecode=%u:%u:%u:%u:%u:%u:%u", code->config.fps_n, code->config.fps_d, code->config.flags, code->hours,
               code->minutes, code->seconds, code->frames);
    } else if (api == GST_VIDEO_CAPTION_META_API_TYPE && g_str_equal(wanted, "caption")) {
        GstVideoCaptionMeta *caption = (GstVideoCaptionMeta *)*meta;
        printf("\tcaption=%u:", caption->caption_type);
        print_hex(caption->data, caption->size);
    } else if (api == GST_REFERENCE_TIMESTAMP_META_API_TYPE && g_str_equal(wanted, "reference")) {
        GstReferenceTimestampMeta *time = (GstReferenceTimestampMeta *)*meta;
        gchar *reference = gst_caps_to_string(time->reference);
        printf("\treference=%s:%llu:%llu", reference, (unsigned long long)time->timestamp, (unsigned long long)time->duration);
        g_free(reference);
    } else if (gst_meta_info_is_custom((*meta)->info) && g_str_equal(wanted, "custom")) {
        GstStructure *structure = gst_custom_meta_get_structure((GstCustomMeta *)*meta);
        gint number = 0;
        gst_structure_get_int(structure, "x", &number);
        printf("\tcustom=%s;%s, x=(int)%d", gst_structure_get_name(structure), gst_structure_get_name(structure), number);
    }
    return TRUE;
}

static void print_attached(GstBuffer *buffer) {
    GstPad *of_sink = gst_element_get_static_pad(out, "sink");
    GstEvent *event = gst_pad_get_sticky_event(of_sink, GST_EVENT_TAG, 0);
    if (event != NULL) {
        GstTagList *tags;
        gst_event_parse_tag(event, &tags);
        gchar *text = gst_tag_list_to_string(tags);
        g_strdelimit(text, ";", 0);
        printf("\ttags=%s", text);
        g_free(text);
        gst_event_unref(event);
    }
    gst_object_unref(of_sink);
    static const char *order[] = {"region", "timecode", "caption", "reference", "custom", "detection"};
    for (size_t i = 0; i < G_N_ELEMENTS(order); i++)
        gst_buffer_foreach_meta(buffer, print_meta, (gpointer)order[i]);
    print_analytics(buffer);
}

static void print_frame(GstSample *sample) {
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    GstCaps *caps = gst_sample_get_caps(sample);
    printf("frame");
    if (caps != NULL) {
        gchar *text = gst_caps_to_string(caps);
        printf("\tcaps=%s", text);
        g_free(text);
    }
    print_flags(get_flags(buffer));
    if (first_pts == UINT64_MAX)
        first_pts = GST_BUFFER_PTS(buffer);
    print_time("pts", GST_BUFFER_PTS(buffer), first_pts);
    print_time("dts", GST_BUFFER_DTS(buffer), first_pts);
    print_number("duration", GST_BUFFER_DURATION(buffer));
    print_number("offset", GST_BUFFER_OFFSET(buffer));
    print_number("offset_end", GST_BUFFER_OFFSET_END(buffer));
    const GstStructure *structure = caps == NULL ? NULL : gst_caps_get_structure(caps, 0);
    if (structure != NULL && gst_structure_has_name(structure, "video/x-raw")) {
        print_picture(buffer, caps);
    } else if (structure != NULL && gst_structure_has_name(structure, "audio/x-raw")) {
        print_sound(buffer, caps);
    } else {
        GstMapInfo map;
        gst_buffer_map(buffer, &map, GST_MAP_READ);
        printf("\tbytes=%zu:%08x", map.size, crc(0, map.data, map.size));
        gst_buffer_unmap(buffer, &map);
    }
    print_attached(buffer);
    printf("\n");
}

static int take(const line *line) {
    for (uint64_t left = number(line, "count", 1); left > 0; left--) {
        GstSample *sample = gst_app_sink_try_pull_sample(GST_APP_SINK(out), PATIENCE);
        if (sample == NULL) {
            if (!said_error(receiving, 0))
                printf("error\tno frame comes\n");
            return 1;
        }
        print_frame(sample);
        gst_sample_unref(sample);
    }
    return 0;
}

static int ended(void) {
    GstSample *sample = gst_app_sink_try_pull_sample(GST_APP_SINK(out), PATIENCE);
    int is_end = sample == NULL && gst_app_sink_is_eos(GST_APP_SINK(out));
    g_clear_pointer(&sample, gst_sample_unref);
    if (!is_end)
        printf("error\tinstead of the end came something else\n");
    return !is_end;
}

int main(int argc, char **argv) {
    gst_init(&argc, &argv);
    int reads_strides = argc < 2 || strcmp(argv[1], "copies") != 0;
    static const gchar *tags[] = {NULL};
    gst_meta_register_custom("shmflow-conformance", tags, NULL, NULL, NULL);
    line line;
    while (read_line(&line)) {
        int failed = 0;
        if (strcmp(line.verb, "open") == 0)
            failed = open_producer(&line);
        else if (strcmp(line.verb, "frame") == 0)
            failed = write_frame(&line);
        else if (strcmp(line.verb, "end") == 0)
            gst_pad_push_event(pad, gst_event_new_eos());
        else if (strcmp(line.verb, "close") == 0)
            close_producer();
        else if (strcmp(line.verb, "join") == 0)
            failed = join(&line, reads_strides);
        else if (strcmp(line.verb, "take") == 0)
            failed = take(&line);
        else if (strcmp(line.verb, "ended") == 0)
            failed = ended();
        else if (strcmp(line.verb, "leave") == 0)
            stop(&receiving);
        else
            fail("that is no verb");
        if (!failed)
            printf("ok\n");
        fflush(stdout);
    }
    close_producer();
    stop(&receiving);
    return 0;
}
