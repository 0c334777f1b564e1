/* shmflow.h: frames over a crash-safe shared-memory ring, for C.
 *
 * Programs on one Linux machine share frames (video, or any bytes) by the name of a topic: producers write them into
 * shared memory, consumers read them there, without copies and without waiting for each other.
 *
 *     shmflow_producer *producer;                          shmflow_consumer *consumer;
 *     shmflow_producer_open("video", NULL, &producer);     shmflow_consumer_open("video", NULL, &consumer);
 *     shmflow_producer_write(producer, bytes, n,           shmflow_frame *frame;
 *                            NULL, NULL);                  while (shmflow_consumer_receive(consumer, SHMFLOW_FOREVER,
 *     shmflow_producer_close(producer);                                                    &frame) == SHMFLOW_OK) {
 *                                                              use(shmflow_frame_data(frame), shmflow_frame_length(frame));
 *                                                              shmflow_frame_release(frame);
 *                                                          }
 *                                                          shmflow_consumer_close(consumer);
 *
 * Every function that can fail returns a status: SHMFLOW_OK, or an error, which shmflow_last_error_message describes. NULL
 * and invalid arguments give errors. No exception or panic leaves the library. "Safety" lists what the library cannot
 * check. docs/c.md is the reference; flow.h has the classic interface of three calls.
 *
 * This file is generated from the library's source: do not edit it.
 */

#ifndef SHMFLOW_H
#define SHMFLOW_H

#include <stddef.h>
#include <stdint.h>

/* The version of this header. shmflow_version() has that of the library that runs. */
#define SHMFLOW_VERSION_MAJOR 0
#define SHMFLOW_VERSION_MINOR 1
#define SHMFLOW_VERSION_PATCH 0
#define SHMFLOW_VERSION "0.1.0"

/* Whether this header is of that version or a later one: #if SHMFLOW_VERSION_AT_LEAST(0, 2, 0) */
#define SHMFLOW_VERSION_AT_LEAST(major, minor, patch)                                                                  \
    (SHMFLOW_VERSION_MAJOR > (major)                                                                                   \
     || (SHMFLOW_VERSION_MAJOR == (major)                                                                              \
         && (SHMFLOW_VERSION_MINOR > (minor)                                                                           \
             || (SHMFLOW_VERSION_MINOR == (minor) && SHMFLOW_VERSION_PATCH >= (patch)))))

/* Before what will be removed, with what to use in its place: compilers warn of its use, unless SHMFLOW_NO_DEPRECATED is
 * defined before this file is included. */
#if defined(SHMFLOW_NO_DEPRECATED)
#define SHMFLOW_DEPRECATED(instead)
#elif defined(__GNUC__) || defined(__clang__)
#define SHMFLOW_DEPRECATED(instead) __attribute__((deprecated(instead)))
#else
#define SHMFLOW_DEPRECATED(instead)
#endif

/**
 * Nothing.
 */
#define SHMFLOW_LOG_OFF 0

/**
 * What should not happen: a topic was damaged, a participant died, a call of flow.h failed.
 */
#define SHMFLOW_LOG_WARNING 1

/**
 * What is rare and costs something: frames were lost, or are copied, and why; a ring has grown.
 */
#define SHMFLOW_LOG_INFO 2

/**
 * Who comes and goes.
 */
#define SHMFLOW_LOG_DEBUG 3

/**
 * A time that is not known.
 */
#define SHMFLOW_NO_TIME 18446744073709551615ull

/**
 * An offset that is not known.
 */
#define SHMFLOW_NO_OFFSET 18446744073709551615ull

/**
 * The clock of the capture time is not known.
 */
#define SHMFLOW_CLOCK_UNKNOWN 0

/**
 * CLOCK_MONOTONIC as this process reads it; times are translated between processes with different time namespaces.
 */
#define SHMFLOW_CLOCK_MONOTONIC 1

/**
 * CLOCK_REALTIME: since 1970, UTC.
 */
#define SHMFLOW_CLOCK_REALTIME 2

/**
 * CLOCK_TAI: since 1970, without leap seconds, as PTP has it.
 */
#define SHMFLOW_CLOCK_TAI 3

/**
 * The frame does not continue the previous frame.
 */
#define SHMFLOW_FLAG_DISCONT 1

/**
 * The frame is corrupted.
 */
#define SHMFLOW_FLAG_CORRUPTED 2

/**
 * The frame is filler for a gap.
 */
#define SHMFLOW_FLAG_GAP 4

/**
 * The frame cannot be decoded without earlier frames.
 */
#define SHMFLOW_FLAG_DELTA_UNIT 32

/**
 * The frame was captured live.
 */
#define SHMFLOW_FLAG_LIVE 512

/**
 * The frame is interlaced.
 */
#define SHMFLOW_FLAG_INTERLACED 65536

/**
 * The top field comes first.
 */
#define SHMFLOW_FLAG_TFF 131072

/**
 * The maximum number of planes of a frame.
 */
#define SHMFLOW_MAX_PLANES 4

/**
 * The first type of an entry that is a program's own.
 */
#define SHMFLOW_ENTRY_PRIVATE 32768

/**
 * Captions are CEA-608 byte pairs.
 */
#define SHMFLOW_CAPTION_CEA608 1

/**
 * CEA-608 as SMPTE ST 334-1 Annex A has it.
 */
#define SHMFLOW_CAPTION_CEA608_S334 2

/**
 * CEA-708, cc_data.
 */
#define SHMFLOW_CAPTION_CEA708 3

/**
 * CEA-708 as a caption distribution packet.
 */
#define SHMFLOW_CAPTION_CEA708_CDP 4

/**
 * Numbers of frames are dropped, to keep up with the clock.
 */
#define SHMFLOW_TIME_CODE_DROP_FRAME 1

/**
 * The time code is of interlaced video.
 */
#define SHMFLOW_TIME_CODE_INTERLACED 2

/**
 * A detection belongs to no track.
 */
#define SHMFLOW_NO_TRACK 18446744073709551615ull

/**
 * A classification is of the whole frame.
 */
#define SHMFLOW_WHOLE_FRAME 4294967295

/**
 * The frames of all producers are published: they interleave in one sequence.
 */
#define SHMFLOW_MODE_SHARED 0

/**
 * The frames of one producer, the primary, are published; standbys take over when it dies or is stopped.
 */
#define SHMFLOW_MODE_PRIMARY 1

/**
 * The topic has one producer: opening a second one fails.
 */
#define SHMFLOW_MODE_EXCLUSIVE 2

/**
 * A frame for which there is no free slot overwrites the oldest frame that no participant holds.
 */
#define SHMFLOW_OVERFLOW_OVERWRITE_OLDEST 0

/**
 * A new frame is dropped while the ring is full of unread frames.
 */
#define SHMFLOW_OVERFLOW_DROP_NEW 1

/**
 * The producer waits for a slot that no registered consumer is owed, at most stall_timeout_ms for one that takes nothing.
 * Not waited for: SHMFLOW_DELIVERY_LATEST, read-only consumers, the dead.
 */
#define SHMFLOW_OVERFLOW_LOSSLESS 2

/**
 * A lossless producer waits for this consumer.
 */
#define SHMFLOW_DELIVERY_ALL 0

/**
 * It never does: the consumer gets what is there when it looks, such as a preview beside a recorder.
 */
#define SHMFLOW_DELIVERY_LATEST 1

/**
 * Start at the oldest frame in the ring.
 */
#define SHMFLOW_START_OLDEST 0

/**
 * Start at the newest frame in the ring.
 */
#define SHMFLOW_START_NEWEST 1

/**
 * Start with the first frame published from now on.
 */
#define SHMFLOW_START_NEXT 2

/**
 * After a loss, continue at the oldest frame in the ring: the fewest frames are lost.
 */
#define SHMFLOW_ON_LAPPED_OLDEST 0

/**
 * After a loss, continue at the newest frame: the least delay.
 */
#define SHMFLOW_ON_LAPPED_NEWEST 1

/**
 * A timeout that never expires.
 */
#define SHMFLOW_FOREVER (-1)

/**
 * A slot to write a frame into. One thread at a time may use it, any thread.
 */
typedef struct shmflow_claim shmflow_claim;

/**
 * Reads frames from a topic, each once and in order. One thread at a time, any thread; a second one gets
 * SHMFLOW_HANDLE_IN_USE. shmflow_consumer_cancel may be called at any time by any thread.
 */
typedef struct shmflow_consumer shmflow_consumer;

/**
 * A received frame: a lease, so that its bytes do not change until it is released. Any threads may use and release it,
 * also after its consumer is closed.
 */
typedef struct shmflow_frame shmflow_frame;

/**
 * Writes frames to a topic. Several threads may use one at a time; closing it has to be the last use. With
 * SHMFLOW_OVERFLOW_LOSSLESS, calls that need a slot wait for one; shmflow_producer_cancel ends that.
 */
typedef struct shmflow_producer shmflow_producer;

/**
 * The result of a call: SHMFLOW_OK (0); above 0 no error, but there is nothing to deliver; below 0 an error, and the text
 * of shmflow_last_error_message says what to do.
 */
typedef int32_t shmflow_status;

/**
 * A function that gets what the library does: its level (SHMFLOW_LOG_...), a line of text that is valid during the call, and the
 * user pointer. Any thread may call it, also threads of the library, and several at a time. It must return: no exception, no
 * longjmp. It may call functions of this library; what those do is not logged.
 */
typedef void (*shmflow_log)(int32_t level, const char *message, void *user);

/**
 * The layout of raw audio in a frame. Call shmflow_audio_init, then set the fields; metadata.audio takes it.
 */
typedef struct {
    /**
     * Size of this structure as the program knows it. Set by shmflow_audio_init.
     */
    size_t size;
    /**
     * Name of the sample format as GStreamer has it, "S16LE" or "F32LE". Not NULL.
     */
    const char *format;
    /**
     * Where the samples of each channel start, in bytes from the start of the frame: as many numbers as there are channels, if
     * those of a channel follow each other (planar). NULL (default): those of one moment are beside each other (interleaved).
     */
    const uint64_t *channel_offsets;
    /**
     * Samples of each channel in the frame.
     */
    uint64_t samples;
    /**
     * Which loudspeakers the channels are for, as GStreamer's channel-mask; 0 (default): none are named.
     */
    uint64_t channel_mask;
    /**
     * Samples per second and channel.
     */
    uint32_t rate;
    /**
     * Channels, 1 to 1024.
     */
    uint32_t channels;
} shmflow_audio;

/**
 * The position of a plane in the bytes of a frame.
 */
typedef struct {
    /**
     * Where its first row starts, in bytes from the start of the frame.
     */
    uint64_t offset;
    /**
     * Bytes from one row to the next; negative if the rows are stored bottom-up.
     */
    int32_t stride;
    /**
     * Zero.
     */
    uint32_t reserved;
} shmflow_plane_layout;

/**
 * The metadata of a frame. Call shmflow_metadata_init, then set the fields that are known.
 */
typedef struct {
    /**
     * Size of this structure as the program knows it. Set by shmflow_metadata_init.
     */
    size_t size;
    /**
     * Name of the pixel format as GStreamer has it, "BGR" or "NV12". NULL: not a video frame.
     */
    const char *format;
    /**
     * GStreamer caps. NULL: made from format, size and rate, for a video frame, or from audio; none, for others.
     */
    const char *caps;
    /**
     * When the frame was captured, in nanoseconds of the clock below, or SHMFLOW_NO_TIME (default).
     */
    uint64_t capture_time;
    /**
     * Presentation time in this producer's stream, in nanoseconds, or SHMFLOW_NO_TIME (default).
     */
    uint64_t pts;
    /**
     * How long the frame lasts, in nanoseconds, or SHMFLOW_NO_TIME (default).
     */
    uint64_t duration;
    /**
     * The positions of the planes, if plane_count is not 0.
     */
    shmflow_plane_layout planes[SHMFLOW_MAX_PLANES];
    /**
     * The clock of capture_time: SHMFLOW_CLOCK_.... Default SHMFLOW_CLOCK_MONOTONIC.
     */
    uint32_t clock;
    /**
     * SHMFLOW_FLAG_..., combined by OR. Default 0.
     */
    uint32_t flags;
    /**
     * Width of a video frame, in pixels.
     */
    uint32_t width;
    /**
     * Height of a video frame, in pixels.
     */
    uint32_t height;
    /**
     * Frames per second, numerator. 0: the rate is not known, or varies.
     */
    uint32_t fps_n;
    /**
     * Frames per second, denominator. Default 1.
     */
    uint32_t fps_d;
    /**
     * The number of entries in planes. 0 (default): rows without padding, plane after plane, as shmflow_video_size counts
     * them.
     */
    uint32_t plane_count;
    /**
     * The visible part of a video frame, in pixels; all of it if crop_width is 0 (default).
     */
    uint32_t crop_x;
    /**
     * See crop_x.
     */
    uint32_t crop_y;
    /**
     * See crop_x.
     */
    uint32_t crop_width;
    /**
     * See crop_x.
     */
    uint32_t crop_height;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * The layout of raw audio. NULL (default): not audio.
     */
    const shmflow_audio *audio;
    /**
     * Decoding time in this producer's stream, in nanoseconds, or SHMFLOW_NO_TIME (default). Of packets whose order of decoding is
     * not that of showing.
     */
    uint64_t dts;
    /**
     * How long after capture this producer publishes a frame at the latest, in nanoseconds, or SHMFLOW_NO_TIME (default).
     */
    uint64_t latency;
    /**
     * First unit of the frame in this producer's stream (frame number, byte, sample), or SHMFLOW_NO_OFFSET (default).
     */
    uint64_t offset;
    /**
     * Unit after the last one, or SHMFLOW_NO_OFFSET (default).
     */
    uint64_t offset_end;
} shmflow_metadata;

/**
 * A region of interest: a rectangle of a video frame. Call shmflow_region_init, then set the fields.
 */
typedef struct {
    /**
     * Size of this structure as the program knows it. Set by shmflow_region_init.
     */
    size_t size;
    /**
     * What is there, for example "face". Not NULL.
     */
    const char *kind;
    /**
     * Pixels left of the region.
     */
    uint32_t x;
    /**
     * Pixels above the region.
     */
    uint32_t y;
    /**
     * Width in pixels.
     */
    uint32_t width;
    /**
     * Height in pixels.
     */
    uint32_t height;
    /**
     * Its number among the regions of the frame. Default 0.
     */
    int32_t id;
    /**
     * id of the region that it is a part of. Default 0.
     */
    int32_t parent_id;
} shmflow_region;

/**
 * A time code as SMPTE ST 12-1 has it. Call shmflow_time_code_init, then set the fields.
 */
typedef struct {
    /**
     * Size of this structure as the program knows it. Set by shmflow_time_code_init.
     */
    size_t size;
    /**
     * When the time code was 0 last, in microseconds since 1970, UTC; if has_daily_jam.
     */
    int64_t daily_jam_us;
    /**
     * How many seconds that moment's zone is east of UTC.
     */
    int32_t daily_jam_offset;
    /**
     * 1 if these two are known. Default 0.
     */
    int32_t has_daily_jam;
    /**
     * Frames per second, numerator.
     */
    uint32_t fps_n;
    /**
     * Frames per second, denominator. Default 1.
     */
    uint32_t fps_d;
    /**
     * SHMFLOW_TIME_CODE_..., combined by OR. Default 0.
     */
    uint32_t flags;
    /**
     * Hours.
     */
    uint32_t hours;
    /**
     * Minutes.
     */
    uint32_t minutes;
    /**
     * Seconds.
     */
    uint32_t seconds;
    /**
     * Frame within the second.
     */
    uint32_t frames;
    /**
     * 1 or 2 for a field of an interlaced frame, else 0.
     */
    uint32_t field_count;
} shmflow_time_code;

/**
 * Closed captions of a frame. Call shmflow_caption_init, then set the fields.
 */
typedef struct {
    /**
     * Size of this structure as the program knows it. Set by shmflow_caption_init.
     */
    size_t size;
    /**
     * The bytes.
     */
    const void *data;
    /**
     * How many.
     */
    size_t length;
    /**
     * SHMFLOW_CAPTION_....
     */
    uint32_t kind;
    /**
     * Zero.
     */
    uint32_t reserved;
} shmflow_caption;

/**
 * A time of a frame on a clock that caps name. Call shmflow_reference_time_init, then set the fields.
 */
typedef struct {
    /**
     * Size of this structure as the program knows it. Set by shmflow_reference_time_init.
     */
    size_t size;
    /**
     * The caps that name the clock, "timestamp/x-ntp". Not NULL.
     */
    const char *reference;
    /**
     * More of it, a GStreamer structure as text; or NULL (default).
     */
    const char *info;
    /**
     * The time in nanoseconds.
     */
    uint64_t timestamp;
    /**
     * How long the frame lasts, in nanoseconds, or SHMFLOW_NO_TIME (default).
     */
    uint64_t duration;
} shmflow_reference_time;

/**
 * What a detector found: a box with something in it. Call shmflow_detection_init, then set the fields.
 */
typedef struct {
    /**
     * Size of this structure as the program knows it. Set by shmflow_detection_init.
     */
    size_t size;
    /**
     * What it is. Not NULL.
     */
    const char *label;
    /**
     * Number of the track that it belongs to, or SHMFLOW_NO_TRACK (default).
     */
    uint64_t track_id;
    /**
     * How sure that is, 0 to 1. Default 1.
     */
    float score;
    /**
     * By how much the box is turned around its middle, in radians, clockwise. Default 0.
     */
    float rotation;
    /**
     * Pixels left of the box.
     */
    int32_t x;
    /**
     * Pixels above the box.
     */
    int32_t y;
    /**
     * Width in pixels.
     */
    int32_t width;
    /**
     * Height in pixels.
     */
    int32_t height;
} shmflow_detection;

/**
 * What a classifier says of a detection or of the whole frame: one class. Call shmflow_classification_init, then set the fields.
 */
typedef struct {
    /**
     * Size of this structure as the program knows it. Set by shmflow_classification_init.
     */
    size_t size;
    /**
     * The class. Not NULL.
     */
    const char *label;
    /**
     * How sure that is, 0 to 1. Default 1.
     */
    float score;
    /**
     * Which detection of the frame it is, by its index; or SHMFLOW_WHOLE_FRAME (default).
     */
    uint32_t detection;
} shmflow_classification;

/**
 * More of a track than its number, which detections have. Call shmflow_track_init, then set the fields.
 */
typedef struct {
    /**
     * Size of this structure as the program knows it. Set by shmflow_track_init.
     */
    size_t size;
    /**
     * Its number, the track_id of detections. Not SHMFLOW_NO_TRACK.
     */
    uint64_t id;
    /**
     * When it was seen first, in nanoseconds, or SHMFLOW_NO_TIME (default).
     */
    uint64_t first_seen;
    /**
     * When it was seen last, in nanoseconds, or SHMFLOW_NO_TIME (default).
     */
    uint64_t last_seen;
    /**
     * 1 if the tracker has lost it. Default 0.
     */
    int32_t lost;
    /**
     * Zero.
     */
    uint32_t reserved;
} shmflow_track;

/**
 * Producer options. Call shmflow_producer_options_init, then override fields. The producer that creates the topic sets
 * depth, spare_slots, history, capacities, perms and persistent; later producers join the existing ring.
 */
typedef struct {
    /**
     * Size of this structure as the program knows it. Set by shmflow_producer_options_init.
     */
    size_t size;
    /**
     * A name for display, of at most 64 bytes. NULL: the name of the process.
     */
    const char *name;
    /**
     * The directory of the topic's files, a tmpfs. NULL: the environment variable SHMFLOW_DIR, or else /dev/shm.
     */
    const char *directory;
    /**
     * Initial size of a slot in bytes; the ring grows when a frame is larger. Default 65536.
     */
    size_t slot_capacity;
    /**
     * Bytes of metadata that a frame may have. Default 4096.
     */
    size_t metadata_capacity;
    /**
     * Frames that the ring holds for its consumers, and so how far a consumer may lag. Default 8.
     */
    uint32_t depth;
    /**
     * Slots beyond the depth, so that producers can write while consumers hold leases: one for each producer and one
     * more. Default 2.
     */
    uint32_t spare_slots;
    /**
     * Number of newest frames kept for late joiners after all current consumers have read them. A small value reuses few
     * slots, which stay in the CPU cache. 0: as many as the depth. Default 0.
     */
    uint32_t history;
    /**
     * Permissions of the topic's files, at most 0777; the umask does not apply. Default 0600: this user only.
     */
    uint32_t perms;
    /**
     * SHMFLOW_MODE_SHARED (default), _PRIMARY or _EXCLUSIVE.
     */
    int32_t mode;
    /**
     * With SHMFLOW_MODE_PRIMARY: how many milliseconds a primary may publish nothing before a standby takes over; 0: a
     * standby takes over only when the primary dies. Default 1000.
     */
    uint32_t takeover_timeout_ms;
    /**
     * SHMFLOW_OVERFLOW_OVERWRITE_OLDEST (default), _DROP_NEW or _LOSSLESS.
     */
    int32_t overflow_policy;
    /**
     * Non-zero: keep the topic when its last participant leaves. Default 0.
     */
    int32_t persistent;
    /**
     * Non-zero: join a topic that belongs to a user other than this one or root. That user can end this process by
     * truncating the topic's files. Default 0.
     */
    int32_t allow_foreign_owner;
    /**
     * With SHMFLOW_OVERFLOW_LOSSLESS: how many milliseconds the producer waits for a consumer that takes nothing, before it
     * passes it over until that has caught up; 0: for ever. Default 5000.
     */
    uint32_t stall_timeout_ms;
    /**
     * What the topic shows, for people: one line of at most 1000 bytes, which shmflow ls and lists of devices have beside the
     * topic's name. An empty text removes it. NULL: what is there already. Default NULL.
     */
    const char *description;
} shmflow_producer_options;

/**
 * Consumer options. Call shmflow_consumer_options_init, then override fields.
 */
typedef struct {
    /**
     * Size of this structure as the program knows it. Set by shmflow_consumer_options_init.
     */
    size_t size;
    /**
     * A name for display, of at most 64 bytes. NULL: the name of the process.
     */
    const char *name;
    /**
     * The directory of the topic's files. NULL: the environment variable SHMFLOW_DIR, or else /dev/shm.
     */
    const char *directory;
    /**
     * The caps that this consumer accepts, as GStreamer writes them, of at most 8192 bytes. Producers that negotiate
     * (shmflowsink) try to send those. NULL: not stated.
     */
    const char *accepted_caps;
    /**
     * How many milliseconds to wait for a topic that does not exist yet; 0: not at all (in Python the default is for
     * ever); or SHMFLOW_FOREVER. Default 0.
     */
    int64_t connect_timeout_ms;
    /**
     * SHMFLOW_START_OLDEST (default), _NEWEST or _NEXT.
     */
    int32_t start;
    /**
     * SHMFLOW_ON_LAPPED_OLDEST (default) or _NEWEST.
     */
    int32_t on_lapped;
    /**
     * Leases that this consumer may hold at a time; beyond that, it receives copies. 0: half of the depth. Default 0.
     */
    uint32_t max_leases;
    /**
     * Non-zero: write nothing to frames and states, and receive validated copies. Needs only read permission, on topics
     * whose perms allow read-only consumers; on others it writes one flag at opening. Default 0.
     */
    int32_t read_only;
    /**
     * Non-zero: join a topic that belongs to a user other than this one or root. That user can end this process by
     * truncating the topic's files. Default 0.
     */
    int32_t allow_foreign_owner;
    /**
     * Not 0: receive no copies. Where a frame could only be copied, receiving gives SHMFLOW_WOULD_COPY and leaves the frame
     * where it is. Default 0.
     */
    int32_t no_copies;
    /**
     * Not 0: a wait for a frame ends with SHMFLOW_NO_PRODUCER when everything was read, no producer is left, and the stream
     * was not ended; once each time. Default 0: wait for the next producer.
     */
    int32_t report_no_producer;
    /**
     * SHMFLOW_DELIVERY_ALL (default) or _LATEST: whether a lossless producer waits for this consumer.
     */
    int32_t delivery;
    /**
     * Non-zero: open at once although the topic does not exist yet. The consumer joins it when it comes, and its descriptor
     * becomes readable then; until then receiving gives SHMFLOW_TIMEOUT. connect_timeout_ms does not count. Default 0.
     */
    int32_t allow_missing;
    /**
     * Non-zero: each receiving call takes the newest frame, and skips those before it, which do not count as lost: for what acts
     * on what it sees, a robot or a preview. No lossless producer waits for this consumer. Default 0: every frame.
     */
    int32_t latest;
    /**
     * With share_count: which share of the stream this is, counted from 0. Default 0.
     */
    uint32_t share_index;
    /**
     * For several consumers that share a stream: into how many shares it is cut. This one receives the frames whose sequence
     * number, divided by share_count, leaves share_index. 0 or 1: all frames. Default 0.
     */
    uint32_t share_count;
    /**
     * At most so many frames a second, the newest each time; in between a waiting consumer sleeps, and no frame wakes it. 0: no
     * limit. Default 0.
     */
    double max_rate;
    /**
     * Frames that were captured more milliseconds ago are skipped, such as those that a dead producer left; they do not count as
     * lost. Those that do not say when they were captured are not skipped. 0: no limit. Default 0.
     */
    uint32_t max_age_ms;
    /**
     * Non-zero: foreign code of this process may write where a frame's bytes are (shmflow_frame_private_data): nobody else sees
     * that, and it is gone with the frame. Otherwise such a write ends the process. Costs 0.6 microseconds a frame. Default 0.
     */
    int32_t copy_on_write;
    /**
     * Microseconds that it may look for a frame that is due, instead of being woken for it: less latency, and no system call for
     * the producer, for so much time of a processor per frame at most. It learns the stream's pace by itself, and does not look
     * while there is none. 100 to 300 suit 60 frames a second. Without effect on the descriptor. 0: never. Default 0.
     */
    uint32_t busy_wait_us;
    /**
     * Non-zero: copy every frame, and hold no slot longer than that takes. Default 0.
     */
    int32_t always_copy;
} shmflow_consumer_options;

/**
 * Statistics of a producer and its topic.
 */
typedef struct {
    /**
     * Frames published by this producer.
     */
    uint64_t published;
    /**
     * Frames dropped because no slot was free, or by SHMFLOW_OVERFLOW_DROP_NEW.
     */
    uint64_t dropped;
    /**
     * Bytes published, without metadata.
     */
    uint64_t bytes;
    /**
     * Bytes that a frame may have before the ring has to grow.
     */
    uint64_t slot_capacity;
    /**
     * The epoch: counts the geometries that the ring has had, from 1.
     */
    uint64_t epoch;
    /**
     * Bytes of shared memory that the ring takes.
     */
    uint64_t reserved_bytes;
    /**
     * Frames that the ring holds for its consumers.
     */
    uint32_t depth;
    /**
     * Slots: depth plus spare slots.
     */
    uint32_t slots;
    /**
     * Consumers that are alive; read-only consumers are not counted.
     */
    uint32_t consumers;
    /**
     * 1 if this producer's frames are published; 0 while it is a standby (SHMFLOW_MODE_PRIMARY).
     */
    int32_t is_primary;
    /**
     * With SHMFLOW_OVERFLOW_LOSSLESS: how often a consumer was passed over because it took nothing.
     */
    uint64_t stalls;
    /**
     * How many consumers are passed over now.
     */
    uint32_t stalled_consumers;
    /**
     * Zero.
     */
    uint32_t reserved;
} shmflow_producer_stats;

/**
 * Statistics of a consumer and its topic; all 0 while the topic does not exist (allow_missing).
 */
typedef struct {
    /**
     * Frames received.
     */
    uint64_t received;
    /**
     * Frames lost: overwritten before they were read.
     */
    uint64_t lost;
    /**
     * Frames received as copies.
     */
    uint64_t copied;
    /**
     * Bytes received, without metadata.
     */
    uint64_t bytes;
    /**
     * Sequence number of the next frame to be received.
     */
    uint64_t position;
    /**
     * Bytes that a frame may have in the current ring.
     */
    uint64_t slot_capacity;
    /**
     * The epoch: counts the geometries that the ring has had, from 1.
     */
    uint64_t epoch;
    /**
     * Frames that the ring holds for its consumers.
     */
    uint32_t depth;
    /**
     * Leases that this consumer holds now.
     */
    uint32_t leases;
    /**
     * Producers that are alive.
     */
    uint32_t producers;
    /**
     * 1 if the stream has ended.
     */
    int32_t ended;
    /**
     * Of the frames received, those that were not returned, since they were older than max_age_ms.
     */
    uint64_t skipped;
    /**
     * Frames that were looked for when they were due, and found (busy_wait_us).
     */
    uint64_t expected;
} shmflow_consumer_stats;

/**
 * One plane of a video frame. Row y starts at data + y * stride and has row_bytes bytes, all within the frame.
 */
typedef struct {
    /**
     * Its first row.
     */
    const void *data;
    /**
     * The same, in bytes from the start of the frame.
     */
    uint64_t offset;
    /**
     * Bytes of a row that hold pixels.
     */
    uint64_t row_bytes;
    /**
     * Bytes from one row to the next; negative if the rows are stored bottom-up.
     */
    int32_t stride;
    /**
     * Number of rows.
     */
    uint32_t rows;
} shmflow_plane;

/**
 * The visible part of a video frame, in pixels.
 */
typedef struct {
    /**
     * Pixels left of the visible part.
     */
    uint32_t x;
    /**
     * Pixels above the visible part.
     */
    uint32_t y;
    /**
     * Its width.
     */
    uint32_t width;
    /**
     * Its height.
     */
    uint32_t height;
} shmflow_crop;

/**
 * The call succeeded.
 */
#define SHMFLOW_OK 0

/**
 * No frame arrived within the timeout; for shmflow_consumer_try_receive: there is no new frame now.
 */
#define SHMFLOW_TIMEOUT 1

/**
 * The stream ended, and every frame of it was read. It may continue later.
 */
#define SHMFLOW_ENDED 2

/**
 * shmflow_consumer_cancel was called.
 */
#define SHMFLOW_CANCELLED 3

/**
 * An argument is NULL or invalid.
 */
#define SHMFLOW_INVALID_ARGUMENT (-1)

/**
 * A defect of the library. The process can continue.
 */
#define SHMFLOW_INTERNAL (-2)

/**
 * No producer has created this topic.
 */
#define SHMFLOW_TOPIC_NOT_FOUND (-3)

/**
 * The name is not valid for a topic.
 */
#define SHMFLOW_INVALID_TOPIC_NAME (-4)

/**
 * The permissions of the topic's files, or of their directory, forbid it.
 */
#define SHMFLOW_PERMISSION_DENIED (-5)

/**
 * The topic belongs to another user; allow_foreign_owner allows that.
 */
#define SHMFLOW_FOREIGN_OWNER (-6)

/**
 * The topic's permissions do not allow read-only consumers.
 */
#define SHMFLOW_READ_ONLY_NOT_ALLOWED (-7)

/**
 * A file with the right name is not a ring.
 */
#define SHMFLOW_NOT_A_RING (-8)

/**
 * The topic was created by an incompatible version of the library.
 */
#define SHMFLOW_VERSION_MISMATCH (-9)

/**
 * There is too little shared memory. The text has the bytes needed and free.
 */
#define SHMFLOW_NO_SPACE (-10)

/**
 * Every slot is being written, read or retained. The frame counts as dropped.
 */
#define SHMFLOW_NO_SLOT (-11)

/**
 * SHMFLOW_OVERFLOW_DROP_NEW, and the ring is full of unread frames. The frame counts as dropped.
 */
#define SHMFLOW_FULL (-12)

/**
 * Another producer is the primary; this frame was not published.
 */
#define SHMFLOW_STANDBY (-13)

/**
 * The frame is larger than the claim or the topic can hold.
 */
#define SHMFLOW_TOO_LARGE (-14)

/**
 * The topic already has the maximum number of producers (8).
 */
#define SHMFLOW_TOO_MANY_PRODUCERS (-15)

/**
 * A participant uses the topic in a way that excludes this call.
 */
#define SHMFLOW_IN_USE (-16)

/**
 * Another process, probably a stopped one, is inside an open, a close or a growth of this topic.
 */
#define SHMFLOW_BUSY (-17)

/**
 * The topic was removed. Close the handle and open it again.
 */
#define SHMFLOW_REMOVED (-18)

/**
 * The shared memory holds values that no correct participant writes.
 */
#define SHMFLOW_CORRUPT (-19)

/**
 * The handle was created before a fork, and belongs to the parent process.
 */
#define SHMFLOW_FORKED (-20)

/**
 * No producer is left, for a consumer that asked to be told.
 */
#define SHMFLOW_NO_PRODUCER (-21)

/**
 * The metadata are invalid, or do not fit the bytes of the frame.
 */
#define SHMFLOW_INVALID_METADATA (-22)

/**
 * The frame has no metadata of this kind.
 */
#define SHMFLOW_NO_METADATA (-23)

/**
 * The library does not know the planes of the pixel format.
 */
#define SHMFLOW_UNKNOWN_FORMAT (-24)

/**
 * The operating system returned an error. The text says which operation failed, and why.
 */
#define SHMFLOW_IO (-25)

/**
 * Another thread is inside a call of this consumer.
 */
#define SHMFLOW_HANDLE_IN_USE (-26)

/**
 * The next frame could only be had as a copy, which this consumer does not want. It stays where it is until it is
 * overwritten.
 */
#define SHMFLOW_WOULD_COPY (-27)

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The name of a status, as "SHMFLOW_TOPIC_NOT_FOUND"; of any other number, "unknown status". Never NULL. Do not free it.
 */
const char *shmflow_status_name(shmflow_status status);

/**
 * The message of the last call of this thread that did not return SHMFLOW_OK (for a function without a status: that
 * returned NULL or 0 because of an error): one line for display, which says what happened, to which topic, and what to
 * do. "" if no call failed. A thread gets the same address each time, valid until it ends; each call that fails writes the
 * new text there. So this may be an argument beside the call that fails, in whichever order they are evaluated.
 */
const char *shmflow_last_error_message(void);

/**
 * The status that goes with shmflow_last_error_message; SHMFLOW_OK if nothing has failed in this thread.
 */
shmflow_status shmflow_last_error_status(void);

/**
 * Has the library tell log what it does, up to a level: SHMFLOW_LOG_OFF (nothing), _WARNING, _INFO, _DEBUG. It holds for the
 * process, from now on, and takes the place of what was set before, which another thread may still be calling when this
 * returns. NULL: nothing is told any more. Errors of calls are not logged but returned; those of flow.h are logged, and then
 * not printed. No frame that goes its way is logged: this costs nothing in the flow of frames.
 *
 * Safety: log is NULL or such a function, which may be called with user until the process ends.
 */
shmflow_status shmflow_set_log(int32_t level,
                               shmflow_log log,
                               void *user);

/**
 * The version of the library that runs, as "0.1.0". Never NULL, and never to be freed.
 */
const char *shmflow_version(void);

/**
 * Sets every field to its default. Call it as shmflow_audio_init(&audio, sizeof audio).
 *
 * Safety: audio points to size bytes.
 */
shmflow_status shmflow_audio_init(shmflow_audio *audio, size_t size);

/**
 * The layout of the frame's audio. Call it as shmflow_frame_audio(frame, &audio, sizeof audio). SHMFLOW_OK means that all samples
 * were checked to be within the frame, and SHMFLOW_INVALID_METADATA that they are not. With SHMFLOW_UNKNOWN_FORMAT the fields
 * are set, unchecked. SHMFLOW_NO_METADATA if it is not audio. Its format and channel_offsets are valid as long as the frame.
 *
 * Safety: frame is a frame; audio points to size bytes.
 */
shmflow_status shmflow_frame_audio(const shmflow_frame *frame,
                                   shmflow_audio *audio,
                                   size_t size);

/**
 * The first sample of a channel. If samples are interleaved, the next one of the channel is as many samples further as there are
 * channels, else the next one in memory. NULL if there is no such channel, or it is not within the frame.
 *
 * Safety: frame is NULL or a frame.
 */
const void *shmflow_frame_audio_channel(const shmflow_frame *frame,
                                        uint32_t channel);

/**
 * Bytes of a video frame whose rows have no padding and whose planes follow each other: what to claim for it if
 * plane_count is 0. SHMFLOW_UNKNOWN_FORMAT if the planes of the format are not known.
 *
 * Safety: format is a text; bytes points to a size_t.
 */
shmflow_status shmflow_video_size(const char *format, uint32_t width, uint32_t height, size_t *bytes);

/**
 * Sets every field to its default. Call it as shmflow_metadata_init(&metadata, sizeof metadata).
 *
 * Safety: metadata points to size bytes.
 */
shmflow_status shmflow_metadata_init(shmflow_metadata *metadata, size_t size);

/**
 * Sets every field to its default. Call it as shmflow_region_init(&region, sizeof region).
 *
 * Safety: region points to size bytes.
 */
shmflow_status shmflow_region_init(shmflow_region *region, size_t size);

/**
 * Adds a region of interest to the frame. shmflow_claim_set_metadata comes before: it takes away what was added.
 * SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
 *
 * Safety: claim is from shmflow_producer_claim; region is initialised, and its texts are texts.
 */
shmflow_status shmflow_claim_add_region(shmflow_claim *claim, const shmflow_region *region);

/**
 * Sets the tags of the stream, or, if is_global is not 0, of all streams of the producer, after shmflow_claim_set_metadata: as
 * GStreamer writes them, "taglist, title=(string)film". They hold for the frames that follow too, for GStreamer's elements.
 * SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
 *
 * Safety: claim is from shmflow_producer_claim; tags is a text.
 */
shmflow_status shmflow_claim_set_tags(shmflow_claim *claim,
                                      const char *tags,
                                      int32_t is_global);

/**
 * Adds an entry of any type to the metadata of the frame, after shmflow_claim_set_metadata: docs/metadata.md has the types and
 * their bytes. Those from SHMFLOW_ENTRY_PRIVATE to 0xffff are a program's own.
 * SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
 *
 * Safety: claim is from shmflow_producer_claim; data points to length bytes.
 */
shmflow_status shmflow_claim_add_entry(shmflow_claim *claim,
                                       uint32_t entry_type,
                                       const void *data,
                                       size_t length);

/**
 * How many regions of interest the frame has. 0 if frame is NULL, or its metadata cannot be read.
 *
 * Safety: frame is NULL or a frame.
 */
size_t shmflow_frame_region_count(const shmflow_frame *frame);

/**
 * A region of interest of the frame. Call it as shmflow_frame_region(frame, index, &region, sizeof region). Its text is valid
 * as long as the frame.
 *
 * Safety: frame is a frame; region points to size bytes.
 */
shmflow_status shmflow_frame_region(const shmflow_frame *frame,
                                    size_t index,
                                    shmflow_region *region,
                                    size_t size);

/**
 * The tags of the stream, or, if is_global is not 0, of all streams of its producer, as GStreamer writes them; NULL if there are
 * none. Valid as long as the frame.
 *
 * Safety: frame is NULL or a frame.
 */
const char *shmflow_frame_tags(const shmflow_frame *frame,
                               int32_t is_global);

/**
 * The bytes of an entry of the frame's metadata, of any type: the one that has index entries of this type before it. *length
 * receives their number; NULL and 0 if there is no such entry. Valid as long as the frame. docs/metadata.md has the types.
 *
 * Safety: frame is NULL or a frame; length points to a size_t.
 */
const void *shmflow_frame_entry(const shmflow_frame *frame,
                                uint32_t entry_type,
                                size_t index,
                                size_t *length);

/**
 * Sets every field to its default. Call it as shmflow_time_code_init(&time_code, sizeof time_code).
 *
 * Safety: time_code points to size bytes.
 */
shmflow_status shmflow_time_code_init(shmflow_time_code *time_code, size_t size);

/**
 * Sets every field to its default. Call it as shmflow_caption_init(&caption, sizeof caption).
 *
 * Safety: caption points to size bytes.
 */
shmflow_status shmflow_caption_init(shmflow_caption *caption, size_t size);

/**
 * Sets every field to its default. Call it as shmflow_reference_time_init(&time, sizeof time).
 *
 * Safety: time points to size bytes.
 */
shmflow_status shmflow_reference_time_init(shmflow_reference_time *time, size_t size);

/**
 * Adds a time code to the frame, after shmflow_claim_set_metadata.
 * SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
 *
 * Safety: claim is from shmflow_producer_claim; time_code is initialised.
 */
shmflow_status shmflow_claim_add_time_code(shmflow_claim *claim, const shmflow_time_code *time_code);

/**
 * Adds closed captions to the frame, after shmflow_claim_set_metadata.
 * SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
 *
 * Safety: claim is from shmflow_producer_claim; caption is initialised, and its data are length bytes.
 */
shmflow_status shmflow_claim_add_caption(shmflow_claim *claim, const shmflow_caption *caption);

/**
 * Adds a time of the frame on another clock, after shmflow_claim_set_metadata.
 * SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
 *
 * Safety: claim is from shmflow_producer_claim; time is initialised, and its texts are texts.
 */
shmflow_status shmflow_claim_add_reference_time(shmflow_claim *claim, const shmflow_reference_time *time);

/**
 * How many time codes the frame has. 0 if frame is NULL, or its metadata cannot be read.
 *
 * Safety: frame is NULL or a frame.
 */
size_t shmflow_frame_time_code_count(const shmflow_frame *frame);

/**
 * A time code of the frame. Call it as shmflow_frame_time_code(frame, index, &time_code, sizeof time_code).
 *
 * Safety: frame is a frame; time_code points to size bytes.
 */
shmflow_status shmflow_frame_time_code(const shmflow_frame *frame,
                                       size_t index,
                                       shmflow_time_code *time_code,
                                       size_t size);

/**
 * How many entries of closed captions the frame has. 0 if frame is NULL, or its metadata cannot be read.
 *
 * Safety: frame is NULL or a frame.
 */
size_t shmflow_frame_caption_count(const shmflow_frame *frame);

/**
 * Closed captions of the frame. Call it as shmflow_frame_caption(frame, index, &caption, sizeof caption). Their bytes are valid
 * as long as the frame.
 *
 * Safety: frame is a frame; caption points to size bytes.
 */
shmflow_status shmflow_frame_caption(const shmflow_frame *frame,
                                     size_t index,
                                     shmflow_caption *caption,
                                     size_t size);

/**
 * How many times on other clocks the frame has. 0 if frame is NULL, or its metadata cannot be read.
 *
 * Safety: frame is NULL or a frame.
 */
size_t shmflow_frame_reference_time_count(const shmflow_frame *frame);

/**
 * A time on another clock of the frame. Call it as shmflow_frame_reference_time(frame, index, &time, sizeof time). Its
 * texts are valid as long as the frame.
 *
 * Safety: frame is a frame; time points to size bytes.
 */
shmflow_status shmflow_frame_reference_time(const shmflow_frame *frame,
                                            size_t index,
                                            shmflow_reference_time *time,
                                            size_t size);

/**
 * Sets every field to its default. Call it as shmflow_detection_init(&detection, sizeof detection).
 *
 * Safety: detection points to size bytes.
 */
shmflow_status shmflow_detection_init(shmflow_detection *detection, size_t size);

/**
 * Sets every field to its default. Call it as shmflow_classification_init(&classification, sizeof classification).
 *
 * Safety: classification points to size bytes.
 */
shmflow_status shmflow_classification_init(shmflow_classification *classification, size_t size);

/**
 * Sets every field to its default. Call it as shmflow_track_init(&track, sizeof track).
 *
 * Safety: track points to size bytes.
 */
shmflow_status shmflow_track_init(shmflow_track *track, size_t size);

/**
 * Adds what a detector found to the frame. shmflow_claim_set_metadata comes before: it takes away what was added.
 * SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
 *
 * Safety: claim is from shmflow_producer_claim; detection is initialised, and its texts are texts.
 */
shmflow_status shmflow_claim_add_detection(shmflow_claim *claim, const shmflow_detection *detection);

/**
 * Adds a class to a detection that was added before, or to the whole frame. shmflow_claim_set_metadata comes before.
 * SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
 *
 * Safety: claim is from shmflow_producer_claim; classification is initialised, and its text is a text.
 */
shmflow_status shmflow_claim_add_classification(shmflow_claim *claim, const shmflow_classification *classification);

/**
 * Says more of a track: of the detections that were added with its number, or of one that is in no detection of this frame.
 * shmflow_claim_set_metadata comes before.
 * SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
 *
 * Safety: claim is from shmflow_producer_claim; track is initialised.
 */
shmflow_status shmflow_claim_add_track(shmflow_claim *claim,
                                       const shmflow_track *track);

/**
 * How many objects detectors found in the frame. 0 if frame is NULL, or its metadata cannot be read.
 *
 * Safety: frame is NULL or a frame.
 */
size_t shmflow_frame_detection_count(const shmflow_frame *frame);

/**
 * What a detector found in the frame. Call it as shmflow_frame_detection(frame, index, &detection, sizeof detection). Its
 * text is valid as long as the frame. Relations of other kinds are in the metadata block: docs/metadata.md.
 *
 * Safety: frame is a frame; detection points to size bytes.
 */
shmflow_status shmflow_frame_detection(const shmflow_frame *frame,
                                       size_t index,
                                       shmflow_detection *detection,
                                       size_t size);

/**
 * How many classes of detections, or of the frame, the frame has. 0 if frame is NULL, or its metadata cannot be read.
 *
 * Safety: frame is NULL or a frame.
 */
size_t shmflow_frame_classification_count(const shmflow_frame *frame);

/**
 * A class of the frame. Call it as shmflow_frame_classification(frame, index, &classification, sizeof classification). Its text is
 * valid as long as the frame.
 *
 * Safety: frame is a frame; classification points to size bytes.
 */
shmflow_status shmflow_frame_classification(const shmflow_frame *frame,
                                            size_t index,
                                            shmflow_classification *classification,
                                            size_t size);

/**
 * How many tracks the frame has. 0 if frame is NULL, or its metadata cannot be read.
 *
 * Safety: frame is NULL or a frame.
 */
size_t shmflow_frame_track_count(const shmflow_frame *frame);

/**
 * A track of the frame. Call it as shmflow_frame_track(frame, index, &track, sizeof track).
 *
 * Safety: frame is a frame; track points to size bytes.
 */
shmflow_status shmflow_frame_track(const shmflow_frame *frame, size_t index, shmflow_track *track, size_t size);

/**
 * Sets every option to its default. Call it as shmflow_producer_options_init(&options, sizeof options).
 *
 * Safety: options points to size bytes.
 */
shmflow_status shmflow_producer_options_init(shmflow_producer_options *options, size_t size);

/**
 * Sets every option to its default. Call it as shmflow_consumer_options_init(&options, sizeof options).
 *
 * Safety: options points to size bytes.
 */
shmflow_status shmflow_consumer_options_init(shmflow_consumer_options *options, size_t size);

/**
 * How often a consumer of the topic has asked for a key frame, ever. A producer of an encoded stream looks from time to time,
 * before each frame for example, and has its encoder make one if the number has changed: once in half a second, say,
 * however many ask.
 *
 * Safety: producer is open; requests points to a number.
 */
shmflow_status shmflow_producer_key_frame_requests(const shmflow_producer *producer,
                                                   uint64_t *requests);

/**
 * Opens a topic for writing, and creates it if it does not exist. options may be NULL. *producer is NULL unless
 * SHMFLOW_OK is returned.
 *
 * Safety: topic is a text, options NULL or initialised, producer points to a pointer.
 */
shmflow_status shmflow_producer_open(const char *topic,
                                     const shmflow_producer_options *options,
                                     shmflow_producer **producer);

/**
 * Leaves the topic. Claims that were not published yet can still be published. NULL is ignored.
 *
 * Safety: producer is NULL or from shmflow_producer_open, and not used afterwards.
 */
void shmflow_producer_close(shmflow_producer *producer);

/**
 * Publishes a copy of length bytes. To write to shared memory without a copy use shmflow_producer_claim. metadata may be
 * NULL: bare bytes. sequence, if not NULL, receives the frame's sequence number.
 *
 * Safety: producer is open; data points to length bytes; metadata is NULL or initialised; sequence is NULL or points to a number.
 */
shmflow_status shmflow_producer_write(const shmflow_producer *producer,
                                      const void *data,
                                      size_t length,
                                      const shmflow_metadata *metadata,
                                      uint64_t *sequence);

/**
 * Claims a slot of shared memory to write a frame of length bytes into. End the claim with shmflow_claim_publish or
 * shmflow_claim_abandon. If the frame is larger than the slots, the ring grows.
 *
 * Safety: producer is open; claim points to a pointer.
 */
shmflow_status shmflow_producer_claim(const shmflow_producer *producer, size_t length, shmflow_claim **claim);

/**
 * Grows the ring in advance to a slot capacity of capacity bytes and to the given depth. Does nothing if it has both.
 *
 * Safety: producer is open.
 */
shmflow_status shmflow_producer_grow(const shmflow_producer *producer, size_t capacity, uint32_t depth);

/**
 * Grows the room for metadata in advance, to capacity bytes a frame (at most 16 MiB). Does nothing if there is as much.
 * Frames that are claimed afterwards have it.
 *
 * Safety: producer is open.
 */
shmflow_status shmflow_producer_grow_metadata(const shmflow_producer *producer, size_t capacity);

/**
 * Ends the stream after the newest frame. Consumers get SHMFLOW_ENDED when they have read every frame and every producer
 * has ended the stream or left. Publishing again revokes it.
 *
 * Safety: producer is open.
 */
shmflow_status shmflow_producer_end(const shmflow_producer *producer);

/**
 * Cancels waits for a slot (SHMFLOW_OVERFLOW_LOSSLESS): a call that waits, and every later one that would have to, returns
 * SHMFLOW_CANCELLED until shmflow_producer_cancel_reset; its frame is dropped. May be called by any thread, and in a signal
 * handler.
 *
 * Safety: producer is open.
 */
shmflow_status shmflow_producer_cancel(const shmflow_producer *producer);

/**
 * Allows waits again after shmflow_producer_cancel.
 *
 * Safety: producer is open.
 */
shmflow_status shmflow_producer_cancel_reset(const shmflow_producer *producer);

/**
 * Statistics of a producer and its topic. Call it as shmflow_producer_get_stats(producer, &stats, sizeof stats).
 *
 * Safety: producer is open; stats points to size bytes.
 */
shmflow_status shmflow_producer_get_stats(const shmflow_producer *producer, shmflow_producer_stats *stats, size_t size);

/**
 * The memory to write the frame to: shmflow_claim_length bytes of shared memory, which start at a multiple of 4096 and
 * hold an earlier frame. Valid until the claim is published or abandoned. NULL if claim is NULL.
 *
 * Safety: claim is NULL or from shmflow_producer_claim.
 */
void *shmflow_claim_data(shmflow_claim *claim);

/**
 * Bytes that the frame has. 0 if claim is NULL.
 *
 * Safety: claim is NULL or from shmflow_producer_claim.
 */
size_t shmflow_claim_length(const shmflow_claim *claim);

/**
 * Bytes that the frame may have, at least as many as were claimed. 0 if claim is NULL.
 *
 * Safety: claim is NULL or from shmflow_producer_claim.
 */
size_t shmflow_claim_capacity(const shmflow_claim *claim);

/**
 * Makes the frame shorter, or longer up to its capacity.
 *
 * Safety: claim is from shmflow_producer_claim.
 */
shmflow_status shmflow_claim_set_length(shmflow_claim *claim, size_t length);

/**
 * Sets the metadata of the frame. A layout that does not fit the frame's length is refused: SHMFLOW_INVALID_METADATA.
 *
 * Safety: claim is from shmflow_producer_claim; metadata is initialised.
 */
shmflow_status shmflow_claim_set_metadata(shmflow_claim *claim, const shmflow_metadata *metadata);

/**
 * Sets the metadata of the frame to a block from shmflow_frame_metadata_block: to pass on another frame's.
 *
 * Safety: claim is from shmflow_producer_claim; block points to length bytes.
 */
shmflow_status shmflow_claim_set_metadata_block(shmflow_claim *claim, const void *block, size_t length);

/**
 * Publishes the frame. The claim ends, also if this fails. sequence, if not NULL, receives the frame's sequence number:
 * the first of a topic has 1.
 *
 * Safety: claim is from shmflow_producer_claim, and not used afterwards; sequence is NULL or points to a number.
 */
shmflow_status shmflow_claim_publish(shmflow_claim *claim, uint64_t *sequence);

/**
 * Releases the slot without publishing it. NULL is ignored.
 *
 * Safety: claim is NULL or from shmflow_producer_claim, and not used afterwards.
 */
void shmflow_claim_abandon(shmflow_claim *claim);

/**
 * Opens a topic for reading. options may be NULL. *consumer is NULL unless SHMFLOW_OK is returned; SHMFLOW_TIMEOUT if
 * the topic was not created within connect_timeout_ms.
 *
 * Safety: topic is a text, options NULL or initialised, consumer points to a pointer.
 */
shmflow_status shmflow_consumer_open(const char *topic,
                                     const shmflow_consumer_options *options,
                                     shmflow_consumer **consumer);

/**
 * Leaves the topic, and closes the descriptor of shmflow_consumer_fd. Received frames stay valid until they are
 * released. NULL is ignored.
 *
 * Safety: consumer is NULL or from shmflow_consumer_open, and not used afterwards; no other thread is in a call of it.
 */
void shmflow_consumer_close(shmflow_consumer *consumer);

/**
 * The next frame; waits for it at most timeout_ms milliseconds (0: not at all; or SHMFLOW_FOREVER). *frame is NULL unless
 * SHMFLOW_OK is returned; release it with shmflow_frame_release. SHMFLOW_TIMEOUT, SHMFLOW_ENDED (the stream may continue
 * later), SHMFLOW_CANCELLED, SHMFLOW_REMOVED, SHMFLOW_CORRUPT.
 *
 * Safety: consumer is open; frame points to a pointer.
 */
shmflow_status shmflow_consumer_receive(const shmflow_consumer *consumer,
                                        int64_t timeout_ms,
                                        shmflow_frame **frame);

/**
 * As shmflow_consumer_receive, without waiting: SHMFLOW_TIMEOUT if there is no new frame.
 *
 * Safety: As for shmflow_consumer_receive.
 */
shmflow_status shmflow_consumer_try_receive(const shmflow_consumer *consumer, shmflow_frame **frame);

/**
 * A file descriptor for poll, select, epoll and event loops: readable when shmflow_consumer_try_receive has a frame or an
 * event to return. It is level-triggered, and may be readable without one (always so at first): then
 * shmflow_consumer_try_receive returns SHMFLOW_TIMEOUT, and the descriptor becomes unreadable. SHMFLOW_ENDED, once
 * returned, does not keep it readable; it becomes readable again when the stream continues. Every call returns the same
 * descriptor, and shmflow_consumer_close closes it: do not read from it, write to it or close it. The first call of a process
 * starts a thread, which sleeps until frames arrive, for up to 63 consumers (for each, before Linux 5.16).
 *
 * Safety: consumer is open; fd points to an int.
 */
shmflow_status shmflow_consumer_fd(const shmflow_consumer *consumer,
                                   int *fd);

/**
 * Cancels waits: a call that waits, and every later one, returns SHMFLOW_CANCELLED until shmflow_consumer_cancel_reset.
 * May be called by any thread, and in a signal handler: signals alone do not end a wait.
 *
 * Safety: consumer is open.
 */
shmflow_status shmflow_consumer_cancel(const shmflow_consumer *consumer);

/**
 * Allows waits again after shmflow_consumer_cancel.
 *
 * Safety: consumer is open.
 */
shmflow_status shmflow_consumer_cancel_reset(const shmflow_consumer *consumer);

/**
 * Skips all frames in the ring but the newest. They do not count as lost.
 *
 * Safety: consumer is open.
 */
shmflow_status shmflow_consumer_skip_to_newest(const shmflow_consumer *consumer);

/**
 * Asks the producers of an encoded stream for a key frame, which a consumer needs that joined or lost frames. Whether they
 * heed it is up to them. Not permitted to a consumer that is not registered (read_only, or one too many). Wait a moment before
 * asking again.
 *
 * Safety: consumer is open.
 */
shmflow_status shmflow_consumer_request_key_frame(const shmflow_consumer *consumer);

/**
 * States the caps that this consumer accepts, for producers to read: as GStreamer writes them, of at most 8192 bytes; ""
 * for not stated.
 *
 * Safety: consumer is open; caps is a text.
 */
shmflow_status shmflow_consumer_set_accepted_caps(const shmflow_consumer *consumer,
                                                  const char *caps);

/**
 * Statistics of a consumer and its topic. Call it as shmflow_consumer_get_stats(consumer, &stats, sizeof stats).
 *
 * Safety: consumer is open; stats points to size bytes.
 */
shmflow_status shmflow_consumer_get_stats(const shmflow_consumer *consumer, shmflow_consumer_stats *stats, size_t size);

/**
 * Waits until one of count consumers has something to return, at most timeout_ms milliseconds (0: not at all; or
 * SHMFLOW_FOREVER): a frame, an end, an error, a cancellation. *index receives which one it is, for
 * shmflow_consumer_try_receive. Where several have something they get their turns. NULL among the consumers is left out.
 * SHMFLOW_TIMEOUT. It uses the descriptors of shmflow_consumer_fd: an event loop of the program's own can do the same.
 *
 * Safety: consumers points to count pointers, NULL or open; index points to a size_t.
 */
shmflow_status shmflow_wait_any(shmflow_consumer *const *consumers,
                                size_t count,
                                int64_t timeout_ms,
                                size_t *index);

/**
 * Adds a reference to the frame: each reference has to be released. Returns frame; NULL if it is NULL.
 *
 * Safety: frame is NULL or not released yet.
 */
shmflow_frame *shmflow_frame_ref(shmflow_frame *frame);

/**
 * Releases a reference; after the last one the bytes may be overwritten. Any thread may call it. NULL is ignored.
 *
 * Safety: frame is NULL or a reference that was not released yet.
 */
void shmflow_frame_release(shmflow_frame *frame);

/**
 * The bytes: shmflow_frame_length of them, in shared memory unless shmflow_frame_is_copy. They are read-only: writing to
 * them ends the process (but see shmflow_frame_private_data). They stay the same if every process that may write the topic keeps to the protocol; a program that
 * does not trust those processes takes shmflow_frame_copy. NULL if frame is NULL.
 *
 * Safety: frame is NULL or a frame.
 */
const void *shmflow_frame_data(const shmflow_frame *frame);

/**
 * The bytes, if this process may write them: those of a copy, and of a consumer with copy_on_write. What is written there is
 * seen by this process alone, and is gone with the frame; shmflow_frame_copy still gives what the producer wrote, unless the frame
 * is a copy. For libraries that write where they should not, or draw in place. NULL for any other frame, where writing ends the
 * process.
 *
 * Safety: frame is NULL or a frame. No other thread reads the bytes while they are written.
 */
void *shmflow_frame_private_data(const shmflow_frame *frame);

/**
 * The number of bytes of the frame.
 *
 * Safety: frame is NULL or a frame.
 */
size_t shmflow_frame_length(const shmflow_frame *frame);

/**
 * Copies its first bytes, at most length of them, into buffer; returns how many. The copy does not change, whatever the
 * processes do that may write the topic.
 *
 * Safety: frame is NULL or a frame. buffer points to length bytes, which no other thread uses meanwhile.
 */
size_t shmflow_frame_copy(const shmflow_frame *frame, void *buffer, size_t length);

/**
 * Its sequence number: rises by one with each frame of the topic, from 1.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_sequence(const shmflow_frame *frame);

/**
 * The number of frames that its consumer lost between the previous frame and this one.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_lost_before(const shmflow_frame *frame);

/**
 * The generation of the producer that wrote it: a number that no other participant of this topic ever has.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_producer(const shmflow_frame *frame);

/**
 * The epoch in which it was published: counts the geometries that the ring has had, from 1.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_epoch(const shmflow_frame *frame);

/**
 * 1 if its bytes are a private copy: its consumer is read-only, or holds too many frames. 0 otherwise.
 *
 * Safety: frame is NULL or a frame.
 */
int32_t shmflow_frame_is_copy(const shmflow_frame *frame);

/**
 * Whether the frame has valid metadata: SHMFLOW_OK; SHMFLOW_NO_METADATA for bare bytes; SHMFLOW_INVALID_METADATA if they
 * cannot be decoded. In the last two cases the functions below return their values for "not known".
 *
 * Safety: frame is a frame.
 */
shmflow_status shmflow_frame_metadata_status(const shmflow_frame *frame);

/**
 * When it was captured, in nanoseconds of shmflow_frame_clock; SHMFLOW_NO_TIME if that is not known.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_capture_time(const shmflow_frame *frame);

/**
 * The clock of its capture time: SHMFLOW_CLOCK_..., or a number of a later version.
 *
 * Safety: frame is NULL or a frame.
 */
uint32_t shmflow_frame_clock(const shmflow_frame *frame);

/**
 * Its presentation time in its producer's stream, in nanoseconds; SHMFLOW_NO_TIME if that is not known.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_pts(const shmflow_frame *frame);

/**
 * Its decoding time in its producer's stream, in nanoseconds; SHMFLOW_NO_TIME if that is not known.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_dts(const shmflow_frame *frame);

/**
 * How long it lasts, in nanoseconds; SHMFLOW_NO_TIME if that is not known.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_duration(const shmflow_frame *frame);

/**
 * How long after capture its producer publishes a frame at the latest, in nanoseconds; SHMFLOW_NO_TIME if that is not
 * known.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_latency(const shmflow_frame *frame);

/**
 * Its first unit in its producer's stream (frame number, byte, sample); SHMFLOW_NO_OFFSET if that is not known.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_offset(const shmflow_frame *frame);

/**
 * The unit after its last one; SHMFLOW_NO_OFFSET if that is not known.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_offset_end(const shmflow_frame *frame);

/**
 * Its flags: SHMFLOW_FLAG_..., combined by OR, and others that docs/metadata.md lists.
 *
 * Safety: frame is NULL or a frame.
 */
uint32_t shmflow_frame_flags(const shmflow_frame *frame);

/**
 * Its GStreamer caps, or another media type with parameters; NULL if it carries none. Valid as long as the frame.
 *
 * Safety: frame is NULL or a frame.
 */
const char *shmflow_frame_caps(const shmflow_frame *frame);

/**
 * Name of its pixel format, as GStreamer has it ("BGR", "NV12"); NULL if it is not a video frame. Valid as long as the
 * frame.
 *
 * Safety: frame is NULL or a frame.
 */
const char *shmflow_frame_format(const shmflow_frame *frame);

/**
 * Its metadata block as it was written, in the format of docs/metadata.md; *length receives its number of bytes. NULL
 * and 0 for bare bytes. Valid as long as the frame. Returned also if the block cannot be decoded.
 *
 * Safety: frame is NULL or a frame; length points to a size_t.
 */
const void *shmflow_frame_metadata_block(const shmflow_frame *frame, size_t *length);

/**
 * Width of a video frame, in pixels; 0 if it is not a video frame.
 *
 * Safety: frame is NULL or a frame.
 */
uint32_t shmflow_frame_width(const shmflow_frame *frame);

/**
 * Height of a video frame, in pixels; 0 if it is not a video frame.
 *
 * Safety: frame is NULL or a frame.
 */
uint32_t shmflow_frame_height(const shmflow_frame *frame);

/**
 * Frames per second, as a fraction; 0/1 if the rate is not known, or varies. SHMFLOW_NO_METADATA if it is not a video frame.
 *
 * Safety: frame is a frame; numerator and denominator point to numbers.
 */
shmflow_status shmflow_frame_rate(const shmflow_frame *frame,
                                  uint32_t *numerator,
                                  uint32_t *denominator);

/**
 * How many planes a video frame has: 1 to 4; 0 if it is not a video frame.
 *
 * Safety: frame is NULL or a frame.
 */
uint32_t shmflow_frame_plane_count(const shmflow_frame *frame);

/**
 * A plane of the frame. Call it as shmflow_frame_plane(frame, 0, &plane, sizeof plane). SHMFLOW_OK means that all planes
 * were checked to be within the frame, and SHMFLOW_INVALID_METADATA that they are not. With SHMFLOW_UNKNOWN_FORMAT only
 * offset and stride are set, unchecked.
 *
 * Safety: frame is a frame; plane points to size bytes.
 */
shmflow_status shmflow_frame_plane(const shmflow_frame *frame,
                                   uint32_t index,
                                   shmflow_plane *plane,
                                   size_t size);

/**
 * The visible part of a video frame: all of it if the producer set no crop, or one that exceeds the frame. Call it as
 * shmflow_frame_crop(frame, &crop, sizeof crop).
 *
 * Safety: frame is a frame; crop points to size bytes.
 */
shmflow_status shmflow_frame_crop(const shmflow_frame *frame, shmflow_crop *crop, size_t size);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SHMFLOW_H */
