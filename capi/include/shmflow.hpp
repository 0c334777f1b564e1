/* shmflow.hpp: frames over a crash-safe shared-memory ring, for C++17 and later. Header only, over shmflow.h.
 *
 *     shmflow::Producer producer("video");                shmflow::Consumer consumer("video");
 *     auto slot = producer.claim(bytes);                  for (shmflow::Frame &frame : consumer)
 *     fill(slot.data());                                      use(frame.data());
 *     slot.publish();
 *
 * - Objects own what they stand for, and are moved, not copied; an empty one is false. Structures (options, metadata,
 *   detections) are those of shmflow.h with their defaults set. Their texts are pointers: what they point to has to live
 *   until the call returns.
 * - Each call that can fail has two forms. The one with try_ returns a Status or a Result, never throws, and is all there
 *   is with -fno-exceptions. The other throws shmflow::Error, a std::system_error.
 * - Bytes are spans: std::span from C++20 on. The wrapper allocates nothing but texts of errors.
 *
 * docs/c.md is the reference; shmflow.h describes what each call does.
 */
#ifndef SHMFLOW_HPP
#define SHMFLOW_HPP

#include "shmflow.h"

#if __cplusplus < 201703L
#error "shmflow.hpp needs C++17"
#endif

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#if defined(__has_include) && __cplusplus >= 202002L
#if __has_include(<span>)
#include <span>
#endif
#endif

#if defined(__cpp_exceptions)
#define SHMFLOW_EXCEPTIONS 1
#else
#define SHMFLOW_EXCEPTIONS 0
#endif

namespace shmflow {
/* Parts of a program may be compiled for different standards: their names differ, since their spans do. */
#if defined(__cpp_lib_span)
inline namespace cxx20 {

template <class T>
using span = std::span<T>;

#else
inline namespace cxx17 {

/* As much of std::span as is needed. */
template <class T>
class span {
public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    using iterator = T *;

    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <class U, class = std::enable_if_t<std::is_convertible_v<U (*)[], T (*)[]>>>
    constexpr span(span<U> other) noexcept : data_(other.data()), size_(other.size()) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr std::size_t size_bytes() const noexcept { return size_ * sizeof(T); }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }
    constexpr T &operator[](std::size_t index) const { return data_[index]; }
    constexpr T &front() const { return data_[0]; }
    constexpr T &back() const { return data_[size_ - 1]; }
    constexpr span first(std::size_t count) const { return {data_, count}; }
    constexpr span subspan(std::size_t offset) const { return {data_ + offset, size_ - offset}; }
    constexpr span subspan(std::size_t offset, std::size_t count) const { return {data_ + offset, count}; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

#endif

/* A timeout that never expires. */
inline constexpr std::chrono::milliseconds forever{SHMFLOW_FOREVER};

/* ---- Failures ---- */

namespace detail {

class Category final : public std::error_category {
public:
    const char *name() const noexcept override { return "shmflow"; }
    std::string message(int status) const override { return shmflow_status_name(status); }
};

} // namespace detail

/* The category of statuses in std::error_code. */
inline const std::error_category &category() noexcept {
    static const detail::Category the_one;
    return the_one;
}

/* The result of a call: true if it succeeded. */
class [[nodiscard]] Status {
public:
    constexpr Status() noexcept = default;
    constexpr Status(shmflow_status value) noexcept : value_(value) {}

    constexpr explicit operator bool() const noexcept { return value_ == SHMFLOW_OK; }
    constexpr shmflow_status value() const noexcept { return value_; }
    /* Nothing to deliver, and no error: a timeout, the end of the stream, a cancellation. */
    constexpr bool is_nothing() const noexcept { return value_ > SHMFLOW_OK; }
    constexpr bool is_error() const noexcept { return value_ < SHMFLOW_OK; }
    const char *name() const noexcept { return shmflow_status_name(value_); }
    /* What happened and what to do, if this is of the last call of this thread that did not succeed. */
    const char *message() const noexcept {
        return value_ != SHMFLOW_OK && value_ == shmflow_last_error_status() ? shmflow_last_error_message() : name();
    }
    std::error_code code() const noexcept { return {value_, category()}; }

    friend constexpr bool operator==(Status one, Status other) noexcept { return one.value_ == other.value_; }
    friend constexpr bool operator!=(Status one, Status other) noexcept { return one.value_ != other.value_; }

private:
    shmflow_status value_ = SHMFLOW_OK;
};

#if SHMFLOW_EXCEPTIONS
class Error : public std::system_error {
public:
    explicit Error(Status status) : std::system_error(status.code(), status.message()), status_(status) {}
    Status status() const noexcept { return status_; }

private:
    Status status_;
};
#endif

/* Throws unless it succeeded. */
inline void check(Status status) {
#if SHMFLOW_EXCEPTIONS
    if (!status) {
        throw Error(status);
    }
#else
    (void)status;
#endif
}

/* A value, or why there is none. */
template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) noexcept : value_(std::move(value)) {}
    Result(Status status) noexcept : status_(status) {}

    explicit operator bool() const noexcept { return static_cast<bool>(status_); }
    Status status() const noexcept { return status_; }
    const char *message() const noexcept { return status_.message(); }
    T &operator*() & noexcept { return value_; }
    const T &operator*() const & noexcept { return value_; }
    T &&operator*() && noexcept { return std::move(value_); }
    T *operator->() noexcept { return &value_; }
    const T *operator->() const noexcept { return &value_; }
#if SHMFLOW_EXCEPTIONS
    T &value() & { return check(status_), value_; }
    T &&value() && { return check(status_), std::move(value_); }
#endif

private:
    Status status_;
    T value_{};
};

/* ---- Structures ---- */

/* A structure of shmflow.h with its defaults set. */
template <class C, shmflow_status (*Init)(C *, std::size_t)>
struct Initialised : C {
    Initialised() noexcept : C() { Init(this, sizeof(C)); }
};

using ProducerOptions = Initialised<shmflow_producer_options, shmflow_producer_options_init>;
using ConsumerOptions = Initialised<shmflow_consumer_options, shmflow_consumer_options_init>;
using Metadata = Initialised<shmflow_metadata, shmflow_metadata_init>;
using Audio = Initialised<shmflow_audio, shmflow_audio_init>;
using Region = Initialised<shmflow_region, shmflow_region_init>;
using Detection = Initialised<shmflow_detection, shmflow_detection_init>;
using Classification = Initialised<shmflow_classification, shmflow_classification_init>;
using Track = Initialised<shmflow_track, shmflow_track_init>;
using TimeCode = Initialised<shmflow_time_code, shmflow_time_code_init>;
using Caption = Initialised<shmflow_caption, shmflow_caption_init>;
using ReferenceTime = Initialised<shmflow_reference_time, shmflow_reference_time_init>;

/* The metadata of a video frame whose rows have no padding. */
inline Metadata video(const char *format, std::uint32_t width, std::uint32_t height, std::uint32_t fps_n = 0,
                      std::uint32_t fps_d = 1) noexcept {
    Metadata metadata;
    metadata.format = format;
    metadata.width = width;
    metadata.height = height;
    metadata.fps_n = fps_n;
    metadata.fps_d = fps_d;
    return metadata;
}

/* Bytes of such a frame. */
inline Result<std::size_t> try_video_size(const char *format, std::uint32_t width, std::uint32_t height) noexcept {
    std::size_t bytes = 0;
    Status status = shmflow_video_size(format, width, height, &bytes);
    return status ? Result<std::size_t>(bytes) : Result<std::size_t>(status);
}

/* A plane of a video frame. */
struct Plane : shmflow_plane {
    Plane() noexcept : shmflow_plane() {}
    span<const std::byte> row(std::uint32_t y) const noexcept {
        const auto *first = static_cast<const std::byte *>(data);
        return {first + static_cast<std::ptrdiff_t>(y) * stride, static_cast<std::size_t>(row_bytes)};
    }
};

namespace detail {

struct Closer {
    void operator()(shmflow_producer *producer) const noexcept { shmflow_producer_close(producer); }
    void operator()(shmflow_consumer *consumer) const noexcept { shmflow_consumer_close(consumer); }
    void operator()(shmflow_claim *claim) const noexcept { shmflow_claim_abandon(claim); }
    void operator()(shmflow_frame *frame) const noexcept { shmflow_frame_release(frame); }
};

template <class C>
using Handle = std::unique_ptr<C, Closer>;

/* A topic's name. */
class Text {
public:
    Text(const char *text) noexcept : text_(text) {}
    Text(const std::string &text) noexcept : text_(text.c_str()) {}
    operator const char *() const noexcept { return text_; }

private:
    const char *text_;
};

template <class T, class Byte>
span<T> view(span<Byte> bytes) noexcept {
    static_assert(std::is_trivially_copyable_v<T>, "only plain values are in shared memory");
    static_assert(alignof(T) <= 4096, "frames start at multiples of 4096");
    using Void = std::conditional_t<std::is_const_v<Byte>, const void, void>;
    return {static_cast<T *>(static_cast<Void *>(bytes.data())), bytes.size() / sizeof(T)};
}

inline std::optional<std::chrono::nanoseconds> time(std::uint64_t ns) noexcept {
    if (ns == SHMFLOW_NO_TIME) {
        return std::nullopt;
    }
    return std::chrono::nanoseconds(static_cast<std::chrono::nanoseconds::rep>(ns));
}

inline std::optional<std::uint64_t> offset(std::uint64_t units) noexcept {
    return units == SHMFLOW_NO_OFFSET ? std::nullopt : std::optional<std::uint64_t>(units);
}

inline std::string_view text(const char *text) noexcept { return text == nullptr ? std::string_view() : text; }

} // namespace detail

/* What hangs on a frame, one kind of it: a range of structures, each read when it is asked for. Valid as long as the
 * frame; so are its texts. */
template <class C, std::size_t (*Count)(const shmflow_frame *),
          shmflow_status (*Get)(const shmflow_frame *, std::size_t, C *, std::size_t)>
class Attached {
public:
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = C;
        using difference_type = std::ptrdiff_t;
        using pointer = const C *;
        using reference = C;

        iterator() noexcept = default;
        iterator(const shmflow_frame *frame, std::size_t index) noexcept : frame_(frame), index_(index) {}
        C operator*() const noexcept {
            C one{};
            Get(frame_, index_, &one, sizeof one);
            return one;
        }
        iterator &operator++() noexcept {
            ++index_;
            return *this;
        }
        iterator operator++(int) noexcept {
            iterator before = *this;
            ++index_;
            return before;
        }
        friend bool operator==(const iterator &a, const iterator &b) noexcept { return a.index_ == b.index_; }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return a.index_ != b.index_; }

    private:
        const shmflow_frame *frame_ = nullptr;
        std::size_t index_ = 0;
    };

    explicit Attached(const shmflow_frame *frame) noexcept : frame_(frame) {}
    std::size_t size() const noexcept { return Count(frame_); }
    bool empty() const noexcept { return size() == 0; }
    C operator[](std::size_t index) const noexcept { return *iterator(frame_, index); }
    iterator begin() const noexcept { return {frame_, 0}; }
    iterator end() const noexcept { return {frame_, size()}; }

private:
    const shmflow_frame *frame_;
};

/* ---- Frames ---- */

/* A received frame: a lease on its bytes, which do not change until it is destroyed. Any thread may use and destroy it, also
 * after its consumer is gone. */
class Frame {
public:
    using Regions = Attached<shmflow_region, shmflow_frame_region_count, shmflow_frame_region>;
    using Detections = Attached<shmflow_detection, shmflow_frame_detection_count, shmflow_frame_detection>;
    using Classifications =
        Attached<shmflow_classification, shmflow_frame_classification_count, shmflow_frame_classification>;
    using Tracks = Attached<shmflow_track, shmflow_frame_track_count, shmflow_frame_track>;
    using TimeCodes = Attached<shmflow_time_code, shmflow_frame_time_code_count, shmflow_frame_time_code>;
    using Captions = Attached<shmflow_caption, shmflow_frame_caption_count, shmflow_frame_caption>;
    using ReferenceTimes =
        Attached<shmflow_reference_time, shmflow_frame_reference_time_count, shmflow_frame_reference_time>;

    Frame() noexcept = default;
    /* Takes over a reference. */
    explicit Frame(shmflow_frame *frame) noexcept : handle_(frame) {}

    explicit operator bool() const noexcept { return handle_ != nullptr; }
    shmflow_frame *get() const noexcept { return handle_.get(); }
    /* Another owner of the same frame. */
    Frame share() const noexcept { return Frame(shmflow_frame_ref(get())); }
    void reset() noexcept { handle_.reset(); }

    span<const std::byte> data() const noexcept {
        return {static_cast<const std::byte *>(shmflow_frame_data(get())), size()};
    }
    /* The bytes, to write: nobody else sees that. Empty unless it is a copy, or of a consumer with copy_on_write. */
    span<std::byte> private_data() const noexcept {
        auto *bytes = static_cast<std::byte *>(shmflow_frame_private_data(get()));
        return {bytes, bytes == nullptr ? 0 : size()};
    }
    std::size_t size() const noexcept { return shmflow_frame_length(get()); }
    /* The bytes as values of T, as many as are whole. */
    template <class T>
    span<const T> as() const noexcept {
        return detail::view<const T>(data());
    }
    /* Copies the first bytes, for a program that does not trust all that may write the topic; how many. */
    std::size_t copy(void *buffer, std::size_t length) const noexcept {
        return shmflow_frame_copy(get(), buffer, length);
    }
    std::uint64_t sequence() const noexcept { return shmflow_frame_sequence(get()); }
    std::uint64_t lost_before() const noexcept { return shmflow_frame_lost_before(get()); }
    std::uint64_t producer() const noexcept { return shmflow_frame_producer(get()); }
    std::uint64_t epoch() const noexcept { return shmflow_frame_epoch(get()); }
    bool is_copy() const noexcept { return shmflow_frame_is_copy(get()) != 0; }

    Status metadata_status() const noexcept { return shmflow_frame_metadata_status(get()); }
    std::string_view caps() const noexcept { return detail::text(shmflow_frame_caps(get())); }
    std::string_view format() const noexcept { return detail::text(shmflow_frame_format(get())); }
    std::uint32_t width() const noexcept { return shmflow_frame_width(get()); }
    std::uint32_t height() const noexcept { return shmflow_frame_height(get()); }
    std::uint32_t plane_count() const noexcept { return shmflow_frame_plane_count(get()); }
    Result<Plane> try_plane(std::uint32_t index) const noexcept {
        Plane plane;
        Status status = shmflow_frame_plane(get(), index, &plane, sizeof(shmflow_plane));
        return status ? Result<Plane>(plane) : Result<Plane>(status);
    }
    Result<shmflow_audio> try_audio() const noexcept {
        shmflow_audio audio{};
        Status status = shmflow_frame_audio(get(), &audio, sizeof audio);
        return status ? Result<shmflow_audio>(audio) : Result<shmflow_audio>(status);
    }
    Result<shmflow_crop> try_crop() const noexcept {
        shmflow_crop crop{};
        Status status = shmflow_frame_crop(get(), &crop, sizeof crop);
        return status ? Result<shmflow_crop>(crop) : Result<shmflow_crop>(status);
    }
#if SHMFLOW_EXCEPTIONS
    Plane plane(std::uint32_t index) const { return try_plane(index).value(); }
    shmflow_audio audio() const { return try_audio().value(); }
    shmflow_crop crop() const { return try_crop().value(); }
#endif
    std::optional<std::chrono::nanoseconds> capture_time() const noexcept {
        return detail::time(shmflow_frame_capture_time(get()));
    }
    std::uint32_t clock() const noexcept { return shmflow_frame_clock(get()); }
    std::optional<std::chrono::nanoseconds> pts() const noexcept { return detail::time(shmflow_frame_pts(get())); }
    std::optional<std::chrono::nanoseconds> dts() const noexcept { return detail::time(shmflow_frame_dts(get())); }
    std::optional<std::chrono::nanoseconds> duration() const noexcept {
        return detail::time(shmflow_frame_duration(get()));
    }
    std::optional<std::uint64_t> offset() const noexcept { return detail::offset(shmflow_frame_offset(get())); }
    std::optional<std::uint64_t> offset_end() const noexcept { return detail::offset(shmflow_frame_offset_end(get())); }
    std::uint32_t flags() const noexcept { return shmflow_frame_flags(get()); }

    Regions regions() const noexcept { return Regions(get()); }
    Detections detections() const noexcept { return Detections(get()); }
    Classifications classifications() const noexcept { return Classifications(get()); }
    Tracks tracks() const noexcept { return Tracks(get()); }
    TimeCodes time_codes() const noexcept { return TimeCodes(get()); }
    Captions captions() const noexcept { return Captions(get()); }
    ReferenceTimes reference_times() const noexcept { return ReferenceTimes(get()); }
    std::string_view tags(bool is_global = false) const noexcept {
        return detail::text(shmflow_frame_tags(get(), is_global));
    }
    /* The bytes of an entry of any type; none if there is no such entry. */
    span<const std::byte> entry(std::uint32_t type, std::size_t index = 0) const noexcept {
        std::size_t length = 0;
        const void *data = shmflow_frame_entry(get(), type, index, &length);
        return {static_cast<const std::byte *>(data), length};
    }
    span<const std::byte> metadata_block() const noexcept {
        std::size_t length = 0;
        const void *data = shmflow_frame_metadata_block(get(), &length);
        return {static_cast<const std::byte *>(data), length};
    }

private:
    detail::Handle<shmflow_frame> handle_;
};

/* A slot of shared memory, to write a frame into. Given back unpublished if it is destroyed before it is published. */
class Slot {
public:
    Slot() noexcept = default;
    explicit Slot(shmflow_claim *claim) noexcept : handle_(claim) {}

    explicit operator bool() const noexcept { return handle_ != nullptr; }
    shmflow_claim *get() const noexcept { return handle_.get(); }
    span<std::byte> data() noexcept { return {static_cast<std::byte *>(shmflow_claim_data(get())), size()}; }
    template <class T>
    span<T> as() noexcept {
        return detail::view<T>(data());
    }
    std::size_t size() const noexcept { return shmflow_claim_length(get()); }
    std::size_t capacity() const noexcept { return shmflow_claim_capacity(get()); }

    Status try_resize(std::size_t length) noexcept { return shmflow_claim_set_length(get(), length); }
    Status try_set(const shmflow_metadata &metadata) noexcept { return shmflow_claim_set_metadata(get(), &metadata); }
    /* The metadata of another frame. */
    Status try_set(const Frame &frame) noexcept {
        auto block = frame.metadata_block();
        return shmflow_claim_set_metadata_block(get(), block.data(), block.size());
    }
    /* Adds to what was set. */
    Status try_add(const shmflow_region &one) noexcept { return shmflow_claim_add_region(get(), &one); }
    Status try_add(const shmflow_detection &one) noexcept { return shmflow_claim_add_detection(get(), &one); }
    Status try_add(const shmflow_classification &one) noexcept {
        return shmflow_claim_add_classification(get(), &one);
    }
    Status try_add(const shmflow_track &one) noexcept { return shmflow_claim_add_track(get(), &one); }
    Status try_add(const shmflow_time_code &one) noexcept { return shmflow_claim_add_time_code(get(), &one); }
    Status try_add(const shmflow_caption &one) noexcept { return shmflow_claim_add_caption(get(), &one); }
    Status try_add(const shmflow_reference_time &one) noexcept {
        return shmflow_claim_add_reference_time(get(), &one);
    }
    Status try_set_tags(const char *tags, bool is_global = false) noexcept {
        return shmflow_claim_set_tags(get(), tags, is_global);
    }
    Status try_add_entry(std::uint32_t type, span<const std::byte> data) noexcept {
        return shmflow_claim_add_entry(get(), type, data.data(), data.size());
    }
    /* The frame's sequence number. The slot is used up, also if this fails. */
    Result<std::uint64_t> try_publish() noexcept {
        std::uint64_t sequence = 0;
        Status status = shmflow_claim_publish(handle_.release(), &sequence);
        return status ? Result<std::uint64_t>(sequence) : Result<std::uint64_t>(status);
    }
    void abandon() noexcept { handle_.reset(); }

#if SHMFLOW_EXCEPTIONS
    void resize(std::size_t length) { check(try_resize(length)); }
    template <class T>
    void set(const T &metadata) {
        check(try_set(metadata));
    }
    template <class T>
    void add(const T &one) {
        check(try_add(one));
    }
    void set_tags(const char *tags, bool is_global = false) { check(try_set_tags(tags, is_global)); }
    void add_entry(std::uint32_t type, span<const std::byte> data) { check(try_add_entry(type, data)); }
    std::uint64_t publish() { return try_publish().value(); }
#endif

private:
    detail::Handle<shmflow_claim> handle_;
};

/* Cancels the waits of a producer or a consumer, from any thread, and in a signal handler. Not used after that is gone. */
class CancelToken {
public:
    explicit CancelToken(const shmflow_consumer *consumer) noexcept : consumer_(consumer) {}
    explicit CancelToken(const shmflow_producer *producer) noexcept : producer_(producer) {}
    void cancel() const noexcept {
        consumer_ != nullptr ? shmflow_consumer_cancel(consumer_) : shmflow_producer_cancel(producer_);
    }
    /* Allows waits again. */
    void reset() const noexcept {
        consumer_ != nullptr ? shmflow_consumer_cancel_reset(consumer_) : shmflow_producer_cancel_reset(producer_);
    }

private:
    const shmflow_consumer *consumer_ = nullptr;
    const shmflow_producer *producer_ = nullptr;
};

/* ---- Writing ---- */

/* Writes frames to a topic. Several threads may use one at a time. */
class Producer {
public:
    Producer() noexcept = default;
    static Result<Producer> try_open(detail::Text topic, const ProducerOptions &options = {}) noexcept {
        shmflow_producer *producer = nullptr;
        Status status = shmflow_producer_open(topic, &options, &producer);
        return status ? Result<Producer>(Producer(producer)) : Result<Producer>(status);
    }
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    shmflow_producer *get() const noexcept { return handle_.get(); }

    Result<Slot> try_claim(std::size_t length) noexcept {
        shmflow_claim *claim = nullptr;
        Status status = shmflow_producer_claim(get(), length, &claim);
        return status ? Result<Slot>(Slot(claim)) : Result<Slot>(status);
    }
    /* Publishes a copy of bytes; the frame's sequence number. */
    Result<std::uint64_t> try_write(const void *data, std::size_t length,
                                    const shmflow_metadata *metadata = nullptr) noexcept {
        std::uint64_t sequence = 0;
        Status status = shmflow_producer_write(get(), data, length, metadata, &sequence);
        return status ? Result<std::uint64_t>(sequence) : Result<std::uint64_t>(status);
    }
    /* Of a text, without a NUL behind it. */
    Result<std::uint64_t> try_write(std::string_view text, const shmflow_metadata *metadata = nullptr) noexcept {
        return try_write(text.data(), text.size(), metadata);
    }
    /* Of a std::vector, std::array, span of plain values. */
    template <class Values, class = std::enable_if_t<!std::is_convertible_v<const Values &, std::string_view>>,
              class T = std::remove_pointer_t<decltype(std::data(std::declval<const Values &>()))>>
    Result<std::uint64_t> try_write(const Values &values, const shmflow_metadata *metadata = nullptr) noexcept {
        static_assert(std::is_trivially_copyable_v<T>, "only plain values are in shared memory");
        return try_write(std::data(values), std::size(values) * sizeof(T), metadata);
    }
    Status try_grow(std::size_t capacity, std::uint32_t depth) noexcept {
        return shmflow_producer_grow(get(), capacity, depth);
    }
    Status try_grow_metadata(std::size_t capacity) noexcept {
        return shmflow_producer_grow_metadata(get(), capacity);
    }
    Status try_end() noexcept { return shmflow_producer_end(get()); }
    std::uint64_t key_frame_requests() const noexcept {
        std::uint64_t requests = 0;
        shmflow_producer_key_frame_requests(get(), &requests);
        return requests;
    }
    shmflow_producer_stats stats() const noexcept {
        shmflow_producer_stats stats{};
        shmflow_producer_get_stats(get(), &stats, sizeof stats);
        return stats;
    }
    CancelToken cancel_token() const noexcept { return CancelToken(get()); }

#if SHMFLOW_EXCEPTIONS
    explicit Producer(detail::Text topic, const ProducerOptions &options = {})
        : Producer(try_open(topic, options).value()) {}
    Slot claim(std::size_t length) { return try_claim(length).value(); }
    template <class... Args>
    std::uint64_t write(const Args &...args) {
        return try_write(args...).value();
    }
    void grow(std::size_t capacity, std::uint32_t depth) { check(try_grow(capacity, depth)); }
    void grow_metadata(std::size_t capacity) { check(try_grow_metadata(capacity)); }
    void end() { check(try_end()); }
#endif

private:
    explicit Producer(shmflow_producer *producer) noexcept : handle_(producer) {}
    detail::Handle<shmflow_producer> handle_;
};

/* ---- Reading ---- */

/* Reads frames from a topic, each once and in order. One thread at a time. */
class Consumer {
public:
    /* Frames as they come, until the stream ends or the consumer is cancelled; then status() says which. */
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Frame;
        using difference_type = std::ptrdiff_t;
        using pointer = Frame *;
        using reference = Frame &;

        iterator() noexcept = default;
        explicit iterator(Consumer *consumer) : consumer_(consumer) { ++*this; }
        Frame &operator*() const noexcept { return frame_; }
        Frame *operator->() const noexcept { return &frame_; }
        iterator &operator++() {
            /* Released first: the next one may need its slot. */
            frame_.reset();
            frame_ = consumer_->next();
            if (!frame_) {
                consumer_ = nullptr;
            }
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator &a, const iterator &b) noexcept { return a.consumer_ == b.consumer_; }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return a.consumer_ != b.consumer_; }

    private:
        Consumer *consumer_ = nullptr;
        mutable Frame frame_;
    };

    Consumer() noexcept = default;
    static Result<Consumer> try_open(detail::Text topic, const ConsumerOptions &options = {}) noexcept {
        shmflow_consumer *consumer = nullptr;
        Status status = shmflow_consumer_open(topic, &options, &consumer);
        return status ? Result<Consumer>(Consumer(consumer)) : Result<Consumer>(status);
    }
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    shmflow_consumer *get() const noexcept { return handle_.get(); }

    /* The next frame; waits for it at most so long, or forever. */
    Result<Frame> try_receive(std::chrono::milliseconds timeout = std::chrono::milliseconds(0)) noexcept {
        shmflow_frame *frame = nullptr;
        status_ = shmflow_consumer_receive(get(), timeout.count(), &frame);
        return status_ ? Result<Frame>(Frame(frame)) : Result<Frame>(status_);
    }
    /* What the last attempt to receive returned. */
    Status status() const noexcept { return status_; }
    /* A descriptor for epoll and event loops: readable when try_receive has something to return. */
    Result<int> try_fd() const noexcept {
        int fd = -1;
        Status status = shmflow_consumer_fd(get(), &fd);
        return status ? Result<int>(fd) : Result<int>(status);
    }
    Status try_skip_to_newest() noexcept { return shmflow_consumer_skip_to_newest(get()); }
    Status try_request_key_frame() noexcept { return shmflow_consumer_request_key_frame(get()); }
    Status try_set_accepted_caps(const char *caps) noexcept {
        return shmflow_consumer_set_accepted_caps(get(), caps);
    }
    shmflow_consumer_stats stats() const noexcept {
        shmflow_consumer_stats stats{};
        shmflow_consumer_get_stats(get(), &stats, sizeof stats);
        return stats;
    }
    CancelToken cancel_token() const noexcept { return CancelToken(get()); }

    /* Without exceptions an error ends the range, too: status() says so. */
    iterator begin() { return iterator(this); }
    iterator end() noexcept { return iterator(); }

#if SHMFLOW_EXCEPTIONS
    explicit Consumer(detail::Text topic, const ConsumerOptions &options = {})
        : Consumer(try_open(topic, options).value()) {}
    /* An empty frame after the timeout, at the end of the stream, and when it was cancelled: status() says which. */
    Frame receive(std::chrono::milliseconds timeout = forever) {
        auto received = try_receive(timeout);
        if (received.status().is_error()) {
            throw Error(received.status());
        }
        return *std::move(received);
    }
    int fd() const { return try_fd().value(); }
    void skip_to_newest() { check(try_skip_to_newest()); }
    void request_key_frame() { check(try_request_key_frame()); }
    void set_accepted_caps(const char *caps) { check(try_set_accepted_caps(caps)); }
#endif

private:
    explicit Consumer(shmflow_consumer *consumer) noexcept : handle_(consumer) {}
    Frame next() {
#if SHMFLOW_EXCEPTIONS
        return receive();
#else
        return *try_receive(forever);
#endif
    }

    detail::Handle<shmflow_consumer> handle_;
    Status status_;
};

/* Waits until one of these consumers has something to return: its index. */
template <class... Consumers>
Result<std::size_t> try_wait_any(std::chrono::milliseconds timeout, const Consumers &...consumers) noexcept {
    const std::array<shmflow_consumer *, sizeof...(Consumers)> all{consumers.get()...};
    std::size_t index = 0;
    Status status = shmflow_wait_any(all.data(), all.size(), timeout.count(), &index);
    return status ? Result<std::size_t>(index) : Result<std::size_t>(status);
}

/* The same for an array of Consumer::get(). */
inline Result<std::size_t> try_wait_any(std::chrono::milliseconds timeout,
                                        span<shmflow_consumer *const> consumers) noexcept {
    std::size_t index = 0;
    Status status = shmflow_wait_any(consumers.data(), consumers.size(), timeout.count(), &index);
    return status ? Result<std::size_t>(index) : Result<std::size_t>(status);
}

} // namespace cxx17 or cxx20
} // namespace shmflow

#endif
