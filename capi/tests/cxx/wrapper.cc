// Every part of shmflow.hpp, as it is meant; compiled for several standards, and without exceptions.
#include "shmflow.hpp"

#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <thread>
#include <vector>

#define CHECK(condition)                                                                                      \
    do {                                                                                                      \
        if (!(condition)) {                                                                                   \
            std::fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition,                  \
                         shmflow_last_error_message());                                                       \
            std::exit(1);                                                                                     \
        }                                                                                                     \
    } while (0)

using namespace std::chrono_literals;

// Whatever C++ allocates is counted. (Inlined, the compiler would see `malloc` meet `delete`.)
static unsigned long allocations = 0;
[[gnu::noinline]] void *operator new(std::size_t size) {
    ++allocations;
    if (void *memory = std::malloc(size)) {
        return memory;
    }
    std::abort();
}
[[gnu::noinline]] void operator delete(void *memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }

static_assert(!std::is_copy_constructible_v<shmflow::Producer> && std::is_nothrow_move_constructible_v<shmflow::Producer>);
static_assert(!std::is_copy_constructible_v<shmflow::Consumer> && std::is_nothrow_move_constructible_v<shmflow::Consumer>);
static_assert(!std::is_copy_constructible_v<shmflow::Frame> && std::is_nothrow_move_constructible_v<shmflow::Frame>);
static_assert(!std::is_copy_constructible_v<shmflow::Slot> && std::is_nothrow_move_constructible_v<shmflow::Slot>);
#if __cplusplus >= 202002L
static_assert(std::is_same_v<shmflow::span<int>, std::span<int>>);
#endif

template <class T>
static T take(shmflow::Result<T> result) {
    CHECK(result);
    return *std::move(result);
}

static void without_exceptions() {
    auto missing = shmflow::Consumer::try_open("nobody");
    CHECK(!missing && missing.status() == SHMFLOW_TOPIC_NOT_FOUND && missing.status().is_error());
    CHECK(std::string(missing.message()).find("nobody") != std::string::npos);
    CHECK(missing.status().code().category() == shmflow::category());
    CHECK(missing.status().code().message() == "SHMFLOW_TOPIC_NOT_FOUND");
    CHECK(!*missing && !shmflow::Producer() && !shmflow::Frame() && !shmflow::Slot());

    shmflow::ProducerOptions options;
    options.depth = 4;
    auto producer = take(shmflow::Producer::try_open(std::string("cxx/try"), options));
    auto consumer = take(shmflow::Consumer::try_open("cxx/try"));
    auto nothing = consumer.try_receive();
    CHECK(!nothing && nothing.status().is_nothing() && consumer.status() == SHMFLOW_TIMEOUT);

    // Zero-copy, and what it is.
    auto slot = take(producer.try_claim(take(shmflow::try_video_size("BGR", 8, 4))));
    CHECK(slot.size() == 96 && slot.capacity() >= 96 && slot.data().size() == 96);
    for (auto &byte : slot.as<unsigned char>()) {
        byte = static_cast<unsigned char>(&byte - slot.as<unsigned char>().data());
    }
    auto metadata = shmflow::video("BGR", 8, 4, 30);
    metadata.pts = 5;
    metadata.offset = 7;
    CHECK(slot.try_set(metadata));
    shmflow::Region region;
    region.kind = "face";
    CHECK(slot.try_add(region));
    shmflow::Detection detection;
    detection.label = "person";
    detection.track_id = 3;
    CHECK(slot.try_add(detection));
    shmflow::Classification classification;
    classification.label = "tall";
    classification.detection = 0;
    CHECK(slot.try_add(classification));
    shmflow::Track track;
    track.id = 3;
    track.last_seen = 9;
    CHECK(slot.try_add(track));
    shmflow::TimeCode code;
    code.hours = 4;
    CHECK(slot.try_add(code));
    shmflow::Caption caption;
    caption.data = "hi";
    caption.length = 2;
    CHECK(slot.try_add(caption));
    shmflow::ReferenceTime time;
    time.reference = "timestamp/x-unix";
    CHECK(slot.try_add(time));
    CHECK(slot.try_set_tags("taglist, title=(string)film"));
    const std::byte own[] = {std::byte{1}, std::byte{2}};
    CHECK(slot.try_add_entry(SHMFLOW_ENTRY_PRIVATE, {own, 2}));
    CHECK(slot.try_resize(95) == SHMFLOW_INVALID_METADATA);
    auto sequence = take(slot.try_publish());
    CHECK(!slot && sequence == 1);

    auto frame = take(consumer.try_receive(10s));
    CHECK(frame && frame.sequence() == 1 && frame.lost_before() == 0 && !frame.is_copy() && frame.size() == 96);
    CHECK(frame.format() == "BGR" && frame.width() == 8 && frame.height() == 4 && frame.plane_count() == 1);
    CHECK(frame.caps().find("video/x-raw") == 0 && frame.metadata_status());
    CHECK(frame.pts() == 5ns && !frame.dts() && !frame.duration() && !frame.capture_time());
    CHECK(frame.offset() == 7u && !frame.offset_end());
    auto plane = take(frame.try_plane(0));
    CHECK(plane.row(1).size() == 24 && plane.row(1)[0] == std::byte{24} && frame.as<unsigned char>()[95] == 95);
    CHECK(frame.try_plane(1).status() == SHMFLOW_INVALID_ARGUMENT);
    CHECK(frame.try_audio().status() == SHMFLOW_NO_METADATA && take(frame.try_crop()).width == 8);
    int found = 0;
    for (const auto &one : frame.detections()) {
        CHECK(std::string_view(one.label) == "person" && one.track_id == 3);
        found++;
    }
    CHECK(found == 1 && frame.detections().size() == 1 && frame.regions()[0].kind == std::string_view("face"));
    CHECK(frame.classifications()[0].detection == 0 && frame.tracks()[0].last_seen == 9);
    CHECK(frame.time_codes()[0].hours == 4 && frame.captions()[0].length == 2 && frame.reference_times().size() == 1);
    CHECK(frame.tags().find("film") != std::string_view::npos && frame.tags(true).empty());
    CHECK(frame.entry(SHMFLOW_ENTRY_PRIVATE).size() == 2 && frame.entry(SHMFLOW_ENTRY_PRIVATE, 1).empty());

    // A frame that may be written, by a consumer that takes the newest; this one may not.
    CHECK(frame.private_data().empty());
    shmflow::ConsumerOptions choosing;
    choosing.latest = choosing.copy_on_write = 1;
    choosing.max_rate = 1000;
    choosing.max_age_ms = 3600000;
    auto newest = take(shmflow::Consumer::try_open("cxx/try", choosing));
    auto drawn = take(newest.try_receive(10s));
    CHECK(drawn.sequence() == 1 && drawn.private_data().size() == drawn.size());
    drawn.private_data()[0] = std::byte{255};
    CHECK(drawn.data()[0] == std::byte{255} && frame.data()[0] == std::byte{0} && newest.stats().skipped == 0);
    drawn.reset();
    newest = shmflow::Consumer();

    // Its metadata go on to another frame; one more owner; a slot that is given back.
    slot = take(producer.try_claim(96));
    CHECK(slot.try_set(frame) && slot.try_publish());
    auto other = frame.share();
    frame.reset();
    CHECK(!frame && other.sequence() == 1);
    auto next = take(consumer.try_receive(10s));
    CHECK(next.detections().size() == 1 && next.copy(nullptr, 0) == 0);
    { auto abandoned = take(producer.try_claim(1)); }

    // Values as people have them.
    struct Point {
        float x, y;
    };
    std::vector<Point> points{{1, 2}, {3, 4}};
    CHECK(producer.try_write(points) && producer.try_write("text") && producer.try_write(std::string("text")));
    next = take(consumer.try_receive(10s));
    CHECK(next.as<Point>().size() == 2 && next.as<Point>()[1].y >= 4);
    for (int i = 0; i < 2; i++) {
        next = take(consumer.try_receive(10s));
        CHECK(next.size() == 4);
    }
    CHECK(producer.stats().published == 5 && consumer.stats().received == 5 && producer.key_frame_requests() == 0);
    CHECK(consumer.try_request_key_frame() && producer.key_frame_requests() == 1);
    CHECK(producer.try_grow(100000, 6) && producer.try_grow_metadata(8192) && consumer.try_skip_to_newest());
    CHECK(consumer.try_set_accepted_caps("video/x-raw"));

    // Several at a time.
    auto second = take(shmflow::Consumer::try_open("cxx/try"));
    CHECK(second.try_skip_to_newest());
    CHECK(shmflow::try_wait_any(0ms, consumer, second).status() == SHMFLOW_TIMEOUT);
    CHECK(producer.try_write("x"));
    CHECK(take(shmflow::try_wait_any(10s, second)) == 0);
    shmflow_consumer *const all[] = {nullptr, consumer.get()};
    CHECK(take(shmflow::try_wait_any(10s, {all, 2})) == 1);
    CHECK(take(consumer.try_fd()) >= 0);

    // Nothing of the wrapper allocates.
    CHECK(consumer.try_skip_to_newest() && consumer.try_receive());
    auto before = allocations;
    for (int i = 0; i < 100; i++) {
        auto claimed = producer.try_claim(10);
        CHECK(claimed && claimed->try_publish());
        auto received = consumer.try_receive(10s);
        CHECK(received && received->data().size() == 10 && received->detections().empty());
    }
    CHECK(!consumer.try_receive());
    CHECK(allocations == before);

    consumer.cancel_token().cancel();
    CHECK(consumer.try_receive(shmflow::forever).status() == SHMFLOW_CANCELLED);
    consumer.cancel_token().reset();
    CHECK(producer.try_end() && consumer.try_receive(shmflow::forever).status() == SHMFLOW_ENDED);
}

// A range ends with the stream, or when it is cancelled.
static void ranges() {
    auto producer = take(shmflow::Producer::try_open("cxx/range"));
    auto consumer = take(shmflow::Consumer::try_open("cxx/range"));
    std::thread writer([&producer] {
        for (int i = 0; i < 5; i++) {
            CHECK(producer.try_write("frame"));
        }
        CHECK(producer.try_end());
    });
    std::uint64_t count = 0;
    std::vector<shmflow::Frame> kept;
    for (auto &frame : consumer) {
        CHECK(frame.sequence() == ++count && frame.size() == 5);
        kept.push_back(std::move(frame));
    }
    writer.join();
    CHECK(count == 5 && kept.size() == 5 && kept[4].sequence() == 5 && consumer.status() == SHMFLOW_ENDED);
    kept.clear();
    std::thread canceller([token = consumer.cancel_token()] { token.cancel(); });
    for (auto &frame : consumer) {
        (void)frame;
        CHECK(false);
    }
    canceller.join();
    CHECK(consumer.status() == SHMFLOW_CANCELLED);
}

#if SHMFLOW_EXCEPTIONS
static void with_exceptions() {
    try {
        shmflow::Consumer consumer("nobody");
        CHECK(false);
    } catch (const shmflow::Error &error) {
        CHECK(error.status() == SHMFLOW_TOPIC_NOT_FOUND && error.code().value() == SHMFLOW_TOPIC_NOT_FOUND);
        CHECK(std::string(error.what()).find("nobody") != std::string::npos);
    }
    shmflow::Producer producer("cxx/throw");
    shmflow::ConsumerOptions options;
    options.max_leases = 2;
    shmflow::Consumer consumer("cxx/throw", options);
    CHECK(!consumer.receive(0ms) && consumer.status() == SHMFLOW_TIMEOUT);
    auto slot = producer.claim(480 * 2);
    shmflow::Audio audio;
    audio.format = "S16LE";
    audio.rate = 48000;
    audio.channels = 2;
    audio.samples = 240;
    shmflow::Metadata metadata;
    metadata.audio = &audio;
    slot.set(metadata);
    bool refused = false;
    try {
        slot.resize(10);
    } catch (const std::system_error &error) {
        refused = error.code() == std::error_code(SHMFLOW_INVALID_METADATA, shmflow::category());
    }
    CHECK(refused && slot.publish() == 1);
    auto frame = consumer.receive();
    CHECK(frame.audio().samples == 240 && frame.audio().channels == 2);
    CHECK(producer.write("more") == 2 && consumer.receive(10s).size() == 4 && consumer.fd() >= 0);
    producer.grow(100000, 8);
    producer.end();
    CHECK(!consumer.receive() && consumer.status() == SHMFLOW_ENDED);
    shmflow::Consumer moved = std::move(consumer);
    CHECK(moved && !consumer);
    // NULL is an error, and no crash.
    bool thrown = false;
    try {
        (void)consumer.receive(0ms);
    } catch (const shmflow::Error &error) {
        thrown = error.status() == SHMFLOW_INVALID_ARGUMENT;
    }
    CHECK(thrown);
}
#endif

int main() {
    without_exceptions();
    ranges();
#if SHMFLOW_EXCEPTIONS
    with_exceptions();
#endif
    std::puts("done");
}
