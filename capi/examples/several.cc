// Frames of several topics in one event loop, beside other things to wait for: several TOPIC...
//
// The topics may come later, and in any order. It ends when each of them has come and ended, or with Ctrl-D.
#include <shmflow.hpp>

#include <iostream>
#include <sys/epoll.h>
#include <unistd.h>
#include <vector>

namespace {

struct Topic {
    const char *name;
    shmflow::Consumer consumer;
};

// Takes what a topic has; false when it is over.
bool take(Topic &topic) {
    while (auto frame = topic.consumer.try_receive()) {
        std::cout << topic.name << ": frame " << frame->sequence() << ", " << frame->size() << " bytes" << std::endl;
    }
    if (topic.consumer.status() == SHMFLOW_TIMEOUT) {
        return true; // nothing more; the descriptor is unreadable now
    }
    std::cout << topic.name << ": " << topic.consumer.status().message() << std::endl;
    return false;
}

void watch(int loop, int fd, std::size_t which) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = which;
    epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
}

} // namespace

int main(int count, char **words) try {
    if (count < 2) {
        std::cerr << "usage: " << words[0] << " TOPIC...\n";
        return 2;
    }
    shmflow::ConsumerOptions options;
    options.allow_missing = 1;
    const int loop = epoll_create1(EPOLL_CLOEXEC);
    std::vector<Topic> topics;
    for (int i = 1; i < count; i++) {
        topics.push_back({words[i], shmflow::Consumer(words[i], options)});
        watch(loop, topics.back().consumer.fd(), topics.size());
    }
    watch(loop, STDIN_FILENO, 0);
    std::cout << "ready" << std::endl;

    auto open = topics.size();
    while (open > 0) {
        epoll_event event;
        if (epoll_wait(loop, &event, 1, -1) != 1) {
            continue; // a signal
        }
        if (event.data.u64 == 0) {
            char line[100];
            if (read(STDIN_FILENO, line, sizeof line) <= 0) {
                break;
            }
            std::cout << "input" << std::endl;
        } else if (auto &topic = topics[event.data.u64 - 1]; !take(topic)) {
            topic.consumer = {}; // its descriptor leaves the loop by itself
            open--;
        }
    }
    close(loop);
    return 0;
} catch (const shmflow::Error &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
