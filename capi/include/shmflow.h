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
 * Every function that can fail returns a status: SHMFLOW_OK, or what is wrong; shmflow_last_error_message says it in words.
 * NULL and nonsense arguments give errors. No exception or panic leaves the library. Under "Safety" stands what the
 * library cannot check. docs/c.md is the reference; flow.h has the classic interface of three calls.
 *
 * This file is made from the library's source, and not edited.
 */

#ifndef SHMFLOW_H
#define SHMFLOW_H

#include <stddef.h>
#include <stdint.h>

/**
 * A time that is not known.
 */
#define SHMFLOW_NO_TIME 18446744073709551615ull

/**
 * The clock of the capture time is not known.
 */
#define SHMFLOW_CLOCK_UNKNOWN 0

/**
 * CLOCK_MONOTONIC of this machine.
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
 * The frame does not continue what came before it.
 */
#define SHMFLOW_FLAG_DISCONT 1

/**
 * The frame is damaged.
 */
#define SHMFLOW_FLAG_CORRUPTED 2

/**
 * The frame is filler for a gap.
 */
#define SHMFLOW_FLAG_GAP 4

/**
 * The frame cannot be decoded without what came before it.
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
 * The most planes that a frame has.
 */
#define SHMFLOW_MAX_PLANES 4

/**
 * The producers of the topic take turns: their frames are one sequence.
 */
#define SHMFLOW_MODE_SHARED 0

/**
 * One producer's frames count; others stand by and take over when it dies or stands still.
 */
#define SHMFLOW_MODE_PRIMARY 1

/**
 * No other producer may be there.
 */
#define SHMFLOW_MODE_EXCLUSIVE 2

/**
 * A frame for which there is no free slot overwrites the oldest one that nobody holds.
 */
#define SHMFLOW_POLICY_OVERWRITE_OLDEST 0

/**
 * It is dropped while consumers have not read what is there.
 */
#define SHMFLOW_POLICY_DROP_NEW 1

/**
 * Start at the oldest frame that is still there.
 */
#define SHMFLOW_START_OLDEST 0

/**
 * Start at the newest frame that is there.
 */
#define SHMFLOW_START_NEWEST 1

/**
 * Start with the first frame published from now on.
 */
#define SHMFLOW_START_NEXT 2

/**
 * After a loss, go on at the oldest frame that is still there: the fewest are lost.
 */
#define SHMFLOW_ON_LAPPED_OLDEST 0

/**
 * After a loss, go on at the newest: the least delay.
 */
#define SHMFLOW_ON_LAPPED_NEWEST 1

/**
 * A time to wait that never ends.
 */
#define SHMFLOW_FOREVER (-1)

/**
 * A slot to write a frame into. It belongs to who claimed it: one thread at a time, any thread.
 */
typedef struct shmflow_claim shmflow_claim;

/**
 * Reads frames from a topic, each once and in order. One thread at a time, any thread; a second one gets
 * SHMFLOW_HANDLE_IN_USE. shmflow_consumer_cancel may be called at any time by any thread.
 */
typedef struct shmflow_consumer shmflow_consumer;

/**
 * A received frame, which keeps its bytes as they are until it is released. It does not change, and may be used and
 * released by any threads, also after its consumer is closed.
 */
typedef struct shmflow_frame shmflow_frame;

/**
 * Writes frames into a topic. Several threads may use one; only closing it has to be the last use.
 */
typedef struct shmflow_producer shmflow_producer;

/**
 * What became of a call: SHMFLOW_OK (0); above 0 nothing is wrong, but there is nothing to deliver; below 0 an error,
 * and shmflow_last_error_message says what to do about it.
 */
typedef int32_t shmflow_status;

/**
 * Where a plane lies in the bytes of a frame.
 */
typedef struct {
    /**
     * Where its first row starts, in bytes from the start of the frame.
     */
    uint64_t offset;
    /**
     * Bytes from one row to the next; negative if the rows lie bottom-up.
     */
    int32_t stride;
    /**
     * Zero.
     */
    uint32_t reserved;
} shmflow_plane_layout;

/**
 * What a frame is. Call shmflow_metadata_init, then fill in what is known.
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
     * GStreamer caps. NULL: made from format, size and rate, for a video frame; none, for others.
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
     * Where the planes lie, if plane_count is not 0.
     */
    shmflow_plane_layout planes[SHMFLOW_MAX_PLANES];
    /**
     * SHMFLOW_CLOCK_...: what capture_time was read from. Default SHMFLOW_CLOCK_MONOTONIC.
     */
    uint32_t clock;
    /**
     * SHMFLOW_FLAG_..., added. Default 0.
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
     * How many of planes count. 0 (default): rows without padding, plane after plane, as shmflow_video_size counts them.
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
} shmflow_metadata;

/**
 * What a producer wants. Call shmflow_producer_options_init, then change what matters. Who comes first chooses depth,
 * spare_slots, history, capacities, perms and persistent; later ones join what is there.
 */
typedef struct {
    /**
     * Size of this structure as the program knows it. Set by shmflow_producer_options_init.
     */
    size_t size;
    /**
     * A name for people to see, of at most 64 bytes. NULL: the name of the process.
     */
    const char *name;
    /**
     * The directory of the topic's files, a tmpfs. NULL: the environment's SHMFLOW_DIR, or else /dev/shm.
     */
    const char *directory;
    /**
     * Bytes of a frame for which room is made at once; the ring grows by itself beyond it. Default 65536.
     */
    size_t slot_capacity;
    /**
     * Bytes of metadata that a frame may have. Default 4096.
     */
    size_t metadata_capacity;
    /**
     * How many frames the ring holds for its consumers. Default 8.
     */
    uint32_t depth;
    /**
     * Slots beside the depth, in which producers write: one for each producer and one more. Default 2.
     */
    uint32_t spare_slots;
    /**
     * How many of the newest frames stay for late joiners even when everybody has read them. Little keeps the memory in
     * use small, and so in the processor's cache. 0: as many as the depth. Default 0.
     */
    uint32_t history;
    /**
     * Permissions of the topic's files, whatever the umask, at most 0777. Default 0600: this user only.
     */
    uint32_t perms;
    /**
     * SHMFLOW_MODE_SHARED (default), _PRIMARY or _EXCLUSIVE.
     */
    int32_t mode;
    /**
     * With SHMFLOW_MODE_PRIMARY: how many milliseconds a primary may stand still before another takes over; 0: only
     * when it dies. Default 1000.
     */
    uint32_t takeover_timeout_ms;
    /**
     * SHMFLOW_POLICY_OVERWRITE_OLDEST (default) or _DROP_NEW.
     */
    int32_t policy;
    /**
     * Not 0: keep the topic when its last participant leaves. Default 0.
     */
    int32_t persistent;
    /**
     * Not 0: join a topic that belongs to another user than this one or root, who can end this process by truncating
     * it. Default 0.
     */
    int32_t allow_foreign_owner;
    /**
     * Zero.
     */
    uint32_t reserved;
} shmflow_producer_options;

/**
 * What a consumer wants. Call shmflow_consumer_options_init, then change what matters.
 */
typedef struct {
    /**
     * Size of this structure as the program knows it. Set by shmflow_consumer_options_init.
     */
    size_t size;
    /**
     * A name for people to see, of at most 64 bytes. NULL: the name of the process.
     */
    const char *name;
    /**
     * The directory of the topic's files. NULL: the environment's SHMFLOW_DIR, or else /dev/shm.
     */
    const char *directory;
    /**
     * What this consumer would like to receive: caps, as GStreamer writes them, of at most 8192 bytes. Producers that
     * negotiate (shmflowsink) try to send that. NULL: nothing in particular.
     */
    const char *accepted_caps;
    /**
     * How many milliseconds to wait for a topic that is not there: 0, not at all; SHMFLOW_FOREVER. Default 0.
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
     * How many frames this consumer may hold in place; beyond it, it receives copies. 0: half of the depth. Default 0.
     */
    uint32_t max_leases;
    /**
     * Not 0: write nothing into shared memory, and receive validated copies. Works without permission to write, on
     * topics whose perms admit readers. Default 0.
     */
    int32_t read_only;
    /**
     * Not 0: join a topic that belongs to another user than this one or root, who can end this process by truncating
     * it. Default 0.
     */
    int32_t allow_foreign_owner;
    /**
     * Zero.
     */
    uint32_t reserved;
} shmflow_consumer_options;

/**
 * How a producer and its topic stand.
 */
typedef struct {
    /**
     * Frames published by this producer.
     */
    uint64_t published;
    /**
     * Frames dropped because no slot could be had, or by SHMFLOW_POLICY_DROP_NEW.
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
     * Counts the shapes that the ring has had, from 1.
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
     * Consumers that are alive; those that only read are not counted.
     */
    uint32_t consumers;
    /**
     * 1 if this producer's frames count; 0 while it stands by (SHMFLOW_MODE_PRIMARY).
     */
    int32_t leads;
} shmflow_producer_stats;

/**
 * How a consumer and its topic stand.
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
     * Bytes that a frame may have at present.
     */
    uint64_t slot_capacity;
    /**
     * Counts the shapes that the ring has had, from 1.
     */
    uint64_t epoch;
    /**
     * Frames that the ring holds for its consumers.
     */
    uint32_t depth;
    /**
     * Frames held in place by this consumer now.
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
     * Bytes from one row to the next; negative if the rows lie bottom-up.
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
     * Pixels left of it.
     */
    uint32_t x;
    /**
     * Pixels above it.
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
 * It is done.
 */
#define SHMFLOW_OK 0

/**
 * Nothing came within the time given; for shmflow_consumer_try_receive: nothing is there now.
 */
#define SHMFLOW_TIMEOUT 1

/**
 * The stream ended, and every frame of it was read. It may go on later.
 */
#define SHMFLOW_ENDED 2

/**
 * shmflow_consumer_cancel was called.
 */
#define SHMFLOW_CANCELLED 3

/**
 * An argument is NULL, or nonsense.
 */
#define SHMFLOW_INVALID_ARGUMENT (-1)

/**
 * A failure inside the library, which is a defect of it. The process can go on.
 */
#define SHMFLOW_INTERNAL (-2)

/**
 * No producer has made this topic.
 */
#define SHMFLOW_TOPIC_NOT_FOUND (-3)

/**
 * This is not a name for a topic.
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
 * A read-only consumer on a topic whose permissions admit none.
 */
#define SHMFLOW_READ_ONLY_NOT_ALLOWED (-7)

/**
 * A file with the right name is something else.
 */
#define SHMFLOW_NOT_A_RING (-8)

/**
 * The topic was made by an incompatible version of the library.
 */
#define SHMFLOW_VERSION_MISMATCH (-9)

/**
 * There is too little shared memory. The text says how much is needed and free.
 */
#define SHMFLOW_NO_SPACE (-10)

/**
 * Every slot is being written, read or retained. The frame counts as dropped.
 */
#define SHMFLOW_NO_SLOT (-11)

/**
 * The policy is to drop new frames while old ones are unread. The frame counts as dropped.
 */
#define SHMFLOW_FULL (-12)

/**
 * Another producer is the primary; this frame was not taken.
 */
#define SHMFLOW_STANDBY (-13)

/**
 * The frame is larger than the claim or the topic can hold.
 */
#define SHMFLOW_TOO_LARGE (-14)

/**
 * The topic has all the producers that it can have (8).
 */
#define SHMFLOW_TOO_MANY_PRODUCERS (-15)

/**
 * Somebody uses the topic in a way that excludes this.
 */
#define SHMFLOW_IN_USE (-16)

/**
 * A stopped process stands inside an open, a close or a growth of this topic.
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
 * The handle was made before a fork, and belongs to the parent process.
 */
#define SHMFLOW_FORKED (-20)

/**
 * Nobody produces into this topic.
 */
#define SHMFLOW_NO_PRODUCER (-21)

/**
 * The frame's metadata, or those given, cannot be understood, or do not fit its bytes.
 */
#define SHMFLOW_INVALID_METADATA (-22)

/**
 * The frame has no metadata of this kind.
 */
#define SHMFLOW_NO_METADATA (-23)

/**
 * The pixel format is not one whose planes the library knows.
 */
#define SHMFLOW_UNKNOWN_FORMAT (-24)

/**
 * The operating system refused. The text says what, and why.
 */
#define SHMFLOW_IO (-25)

/**
 * Another thread is in a call of this consumer.
 */
#define SHMFLOW_HANDLE_IN_USE (-26)

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The name of a status, as "SHMFLOW_TOPIC_NOT_FOUND"; of a number that is none, "unknown status". Never NULL, and never to
 * be freed.
 */
const char *shmflow_status_name(shmflow_status status);

/**
 * What went wrong in the last call of this thread that did not give SHMFLOW_OK (for a function without a status: that
 * gave NULL or 0 because of an error): one line for people, which says what happened, to which topic, and what to do.
 * "" if nothing did. Valid until the next call of this thread that fails.
 */
const char *shmflow_last_error_message(void);

/**
 * The status that goes with shmflow_last_error_message; SHMFLOW_OK if nothing has failed in this thread.
 */
shmflow_status shmflow_last_error_status(void);

/**
 * The version of the library that runs, as "0.1.0". Never NULL, and never to be freed.
 */
const char *shmflow_version(void);

/**
 * Bytes of a video frame whose rows have no padding and whose planes follow each other: what to claim for it if
 * plane_count is 0. SHMFLOW_UNKNOWN_FORMAT if the planes of the format are not known.
 *
 * Safety: format is a text; bytes points to a size_t.
 */
shmflow_status shmflow_video_size(const char *format, uint32_t width, uint32_t height, size_t *bytes);

/**
 * Says nothing of a frame, yet. Call it as shmflow_metadata_init(&metadata, sizeof metadata).
 *
 * Safety: metadata points to size bytes.
 */
shmflow_status shmflow_metadata_init(shmflow_metadata *metadata, size_t size);

/**
 * Gives every option its default. Call it as shmflow_producer_options_init(&options, sizeof options).
 *
 * Safety: options points to size bytes.
 */
shmflow_status shmflow_producer_options_init(shmflow_producer_options *options, size_t size);

/**
 * Gives every option its default. Call it as shmflow_consumer_options_init(&options, sizeof options).
 *
 * Safety: options points to size bytes.
 */
shmflow_status shmflow_consumer_options_init(shmflow_consumer_options *options, size_t size);

/**
 * Opens a topic for writing, and makes it if it is not there. options may be NULL. *producer is NULL unless
 * SHMFLOW_OK is returned.
 *
 * Safety: topic is a text, options NULL or initialised, producer points to a pointer.
 */
shmflow_status shmflow_producer_open(const char *topic,
                                     const shmflow_producer_options *options,
                                     shmflow_producer **producer);

/**
 * Leaves the topic. Claims that were not published yet keep working. NULL is ignored.
 *
 * Safety: producer is NULL or from shmflow_producer_open, and not used afterwards.
 */
void shmflow_producer_close(shmflow_producer *producer);

/**
 * Publishes a copy of length bytes: for those who have them already. To write in place use shmflow_producer_claim.
 * metadata may be NULL: bare bytes. sequence, if not NULL, receives the frame's number.
 *
 * Safety: producer is open; data points to length bytes; metadata is NULL or initialised; sequence is NULL or points to a number.
 */
shmflow_status shmflow_producer_write(const shmflow_producer *producer,
                                      const void *data,
                                      size_t length,
                                      const shmflow_metadata *metadata,
                                      uint64_t *sequence);

/**
 * Takes a slot of shared memory to write a frame of length bytes into. End it by shmflow_claim_publish or
 * shmflow_claim_abandon. A frame that is larger than the slots makes the ring grow.
 *
 * Safety: producer is open; claim points to a pointer.
 */
shmflow_status shmflow_producer_claim(const shmflow_producer *producer, size_t length, shmflow_claim **claim);

/**
 * Makes room for frames of capacity bytes, and for depth of them, ahead of need. Nothing happens if there is.
 *
 * Safety: producer is open.
 */
shmflow_status shmflow_producer_grow(const shmflow_producer *producer, size_t capacity, uint32_t depth);

/**
 * Says that the stream ends after the newest frame. Consumers are told when they have read everything and every
 * producer has said it or left. Publishing again revokes it.
 *
 * Safety: producer is open.
 */
shmflow_status shmflow_producer_end(const shmflow_producer *producer);

/**
 * How a producer and its topic stand. Call it as shmflow_producer_get_stats(producer, &stats, sizeof stats).
 *
 * Safety: producer is open; stats points to size bytes.
 */
shmflow_status shmflow_producer_get_stats(const shmflow_producer *producer, shmflow_producer_stats *stats, size_t size);

/**
 * Where to write the frame: shmflow_claim_length bytes of shared memory, which start at a multiple of 4096 and hold
 * what an earlier frame left there. Valid until the claim is published or abandoned. NULL if claim is NULL.
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
 * Says what the frame is. A layout that does not fit the frame's length is refused: SHMFLOW_INVALID_METADATA.
 *
 * Safety: claim is from shmflow_producer_claim; metadata is initialised.
 */
shmflow_status shmflow_claim_set_metadata(shmflow_claim *claim, const shmflow_metadata *metadata);

/**
 * Says what the frame is by a block as shmflow_frame_metadata_block gives it: to pass on another frame's.
 *
 * Safety: claim is from shmflow_producer_claim; block points to length bytes.
 */
shmflow_status shmflow_claim_set_metadata_block(shmflow_claim *claim, const void *block, size_t length);

/**
 * Publishes the frame. The claim is gone afterwards, also if this fails. sequence, if not NULL, receives the frame's
 * number: the first of a topic has 1.
 *
 * Safety: claim is from shmflow_producer_claim, and not used afterwards; sequence is NULL or points to a number.
 */
shmflow_status shmflow_claim_publish(shmflow_claim *claim, uint64_t *sequence);

/**
 * Gives the slot back without publishing anything. NULL is ignored.
 *
 * Safety: claim is NULL or from shmflow_producer_claim, and not used afterwards.
 */
void shmflow_claim_abandon(shmflow_claim *claim);

/**
 * Opens a topic for reading. options may be NULL. *consumer is NULL unless SHMFLOW_OK is returned; SHMFLOW_TIMEOUT if
 * the topic did not come in the time that the options give it.
 *
 * Safety: topic is a text, options NULL or initialised, consumer points to a pointer.
 */
shmflow_status shmflow_consumer_open(const char *topic,
                                     const shmflow_consumer_options *options,
                                     shmflow_consumer **consumer);

/**
 * Leaves the topic, and closes the descriptor of shmflow_consumer_fd. Frames that were received stay valid until they
 * are released. NULL is ignored.
 *
 * Safety: consumer is NULL or from shmflow_consumer_open, and not used afterwards; no other thread is in a call of it.
 */
void shmflow_consumer_close(shmflow_consumer *consumer);

/**
 * The next frame, waiting for it at most timeout_ms milliseconds (0: not at all; SHMFLOW_FOREVER). *frame is NULL unless
 * SHMFLOW_OK is returned; release it by shmflow_frame_release. SHMFLOW_TIMEOUT, SHMFLOW_ENDED (the stream may go on
 * later), SHMFLOW_CANCELLED, SHMFLOW_REMOVED, SHMFLOW_CORRUPT.
 *
 * Safety: consumer is open; frame points to a pointer.
 */
shmflow_status shmflow_consumer_receive(const shmflow_consumer *consumer,
                                        int64_t timeout_ms,
                                        shmflow_frame **frame);

/**
 * The next frame if it is there, or why not: shmflow_consumer_receive without waiting.
 *
 * Safety: As for shmflow_consumer_receive.
 */
shmflow_status shmflow_consumer_try_receive(const shmflow_consumer *consumer, shmflow_frame **frame);

/**
 * A file descriptor for poll, select, epoll and event loops: readable when shmflow_consumer_try_receive has something to say.
 * It is level-triggered, and may be readable without reason (always so at first): then shmflow_consumer_try_receive says
 * SHMFLOW_TIMEOUT, which makes it unreadable. SHMFLOW_ENDED, once said, does not keep it readable; it is again when the
 * stream goes on. It is the same descriptor in every call, and closed by shmflow_consumer_close: do not read from it,
 * write to it or close it. The first call starts a thread, which sleeps unless frames come.
 *
 * Safety: consumer is open; fd points to an int.
 */
shmflow_status shmflow_consumer_fd(const shmflow_consumer *consumer, int *fd);

/**
 * Ends waits: a call that waits, and every later one, returns SHMFLOW_CANCELLED until shmflow_consumer_cancel_reset.
 * From any thread, and from a signal handler: signals alone do not end a wait.
 *
 * Safety: consumer is open.
 */
shmflow_status shmflow_consumer_cancel(const shmflow_consumer *consumer);

/**
 * Lets waits go on again.
 *
 * Safety: consumer is open.
 */
shmflow_status shmflow_consumer_cancel_reset(const shmflow_consumer *consumer);

/**
 * Leaves out every frame that is there but the newest. They do not count as lost.
 *
 * Safety: consumer is open.
 */
shmflow_status shmflow_consumer_skip_to_newest(const shmflow_consumer *consumer);

/**
 * Tells producers what this consumer would like to receive: caps, as GStreamer writes them, of at most 8192 bytes; ""
 * for nothing in particular.
 *
 * Safety: consumer is open; caps is a text.
 */
shmflow_status shmflow_consumer_set_accepted_caps(const shmflow_consumer *consumer, const char *caps);

/**
 * How a consumer and its topic stand. Call it as shmflow_consumer_get_stats(consumer, &stats, sizeof stats).
 *
 * Safety: consumer is open; stats points to size bytes.
 */
shmflow_status shmflow_consumer_get_stats(const shmflow_consumer *consumer, shmflow_consumer_stats *stats, size_t size);

/**
 * The same frame once more: each reference has to be released. Returns frame; NULL if it is NULL.
 *
 * Safety: frame is NULL or not released yet.
 */
shmflow_frame *shmflow_frame_ref(shmflow_frame *frame);

/**
 * Releases a reference; with the last one the bytes may be overwritten. From any thread. NULL is ignored.
 *
 * Safety: frame is NULL or a reference that was not released yet.
 */
void shmflow_frame_release(shmflow_frame *frame);

/**
 * The bytes: shmflow_frame_length of them, in shared memory unless shmflow_frame_is_copy. To be read only: writing to them
 * ends the process. NULL if frame is NULL.
 *
 * Safety: frame is NULL or a frame.
 */
const void *shmflow_frame_data(const shmflow_frame *frame);

/**
 * How many bytes it has.
 *
 * Safety: frame is NULL or a frame.
 */
size_t shmflow_frame_length(const shmflow_frame *frame);

/**
 * Its number: rises by one with each frame of the topic, from 1.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_sequence(const shmflow_frame *frame);

/**
 * How many frames its consumer lost between the one before and this.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_lost_before(const shmflow_frame *frame);

/**
 * Who wrote it: a number that no other participant of this topic ever has.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_producer(const shmflow_frame *frame);

/**
 * The shape of the ring, counted from 1, in which it was published.
 *
 * Safety: frame is NULL or a frame.
 */
uint64_t shmflow_frame_epoch(const shmflow_frame *frame);

/**
 * 1 if its bytes are a private copy: its consumer only reads, or holds too many frames. 0 otherwise.
 *
 * Safety: frame is NULL or a frame.
 */
int32_t shmflow_frame_is_copy(const shmflow_frame *frame);

/**
 * Whether the frame says what it is: SHMFLOW_OK; SHMFLOW_NO_METADATA for bare bytes; SHMFLOW_INVALID_METADATA if what it says
 * cannot be understood. In the last two cases the functions below give what they give for "not known".
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
 * What is special about it: SHMFLOW_FLAG_..., added, and others that docs/metadata.md lists.
 *
 * Safety: frame is NULL or a frame.
 */
uint32_t shmflow_frame_flags(const shmflow_frame *frame);

/**
 * Its GStreamer caps, or another media type with parameters; NULL if it says none. Valid as long as the frame.
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
 * Its metadata as they were written, of which docs/metadata.md tells the bytes; *length receives how many there are. NULL
 * and 0 for bare bytes. Valid as long as the frame. Given also if they cannot be understood.
 *
 * Safety: frame is NULL or a frame; length points to a size_t.
 */
const void *shmflow_frame_metadata_block(const shmflow_frame *frame,
                                         size_t *length);

/**
 * Width of a video frame, in pixels; 0 if it is none.
 *
 * Safety: frame is NULL or a frame.
 */
uint32_t shmflow_frame_width(const shmflow_frame *frame);

/**
 * Height of a video frame, in pixels; 0 if it is none.
 *
 * Safety: frame is NULL or a frame.
 */
uint32_t shmflow_frame_height(const shmflow_frame *frame);

/**
 * Frames per second, as a fraction; 0/1 if the rate is not known, or varies. SHMFLOW_NO_METADATA if it is no video frame.
 *
 * Safety: frame is a frame; numerator and denominator point to numbers.
 */
shmflow_status shmflow_frame_rate(const shmflow_frame *frame,
                                  uint32_t *numerator,
                                  uint32_t *denominator);

/**
 * How many planes a video frame has: 1 to 4; 0 if it is none.
 *
 * Safety: frame is NULL or a frame.
 */
uint32_t shmflow_frame_plane_count(const shmflow_frame *frame);

/**
 * Where a plane lies. Call it as shmflow_frame_plane(frame, 0, &plane, sizeof plane). All planes were found to lie within
 * the frame, whoever wrote the numbers, if this gives SHMFLOW_OK; SHMFLOW_INVALID_METADATA if they do not. With
 * SHMFLOW_UNKNOWN_FORMAT offset and stride are given as they are, unchecked, and nothing else.
 *
 * Safety: frame is a frame; plane points to size bytes.
 */
shmflow_status shmflow_frame_plane(const shmflow_frame *frame,
                                   uint32_t index,
                                   shmflow_plane *plane,
                                   size_t size);

/**
 * The visible part of a video frame: all of it, if it does not say otherwise, or says what lies outside of it. Call it as
 * shmflow_frame_crop(frame, &crop, sizeof crop).
 *
 * Safety: frame is a frame; crop points to size bytes.
 */
shmflow_status shmflow_frame_crop(const shmflow_frame *frame,
                                  shmflow_crop *crop,
                                  size_t size);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SHMFLOW_H */
