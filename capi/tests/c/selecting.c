/* A consumer that does not take every frame: selecting TOPIC [OPTION ...]. For each line "take" it says the sequence numbers of
 * what is there; for a line "scribble" it writes over the next frame, and says what it and others see of that; for a line
 * "expect" it receives until it has looked for three frames that were due, and found them. */
#include "check.h"

static void option(shmflow_consumer_options *options, const char *word) {
    if (strcmp(word, "latest") == 0) {
        options->latest = 1;
    } else if (strcmp(word, "next") == 0) {
        options->start = SHMFLOW_START_NEXT;
    } else if (strcmp(word, "private") == 0) {
        options->copy_on_write = 1;
    } else if (sscanf(word, "share=%u/%u", &options->share_index, &options->share_count) != 2
               && sscanf(word, "rate=%lf", &options->max_rate) != 1
               && sscanf(word, "busy=%u", &options->busy_wait_us) != 1
               && sscanf(word, "age=%u", &options->max_age_ms) != 1) {
        fprintf(stderr, "no option %s\n", word);
        exit(2);
    }
}

static void take(shmflow_consumer *consumer) {
    shmflow_frame *frame;
    shmflow_status status;
    printf("took");
    while ((status = shmflow_consumer_try_receive(consumer, &frame)) == SHMFLOW_OK) {
        printf(" %lu", (unsigned long)shmflow_frame_sequence(frame));
        CHECK(shmflow_frame_lost_before(frame) == 0);
        shmflow_frame_release(frame);
    }
    CHECK(status == SHMFLOW_TIMEOUT || status == SHMFLOW_ENDED);
    shmflow_consumer_stats stats;
    OK(shmflow_consumer_get_stats(consumer, &stats, sizeof stats));
    CHECK(stats.lost == 0);
    printf(", skipped %lu\n", (unsigned long)stats.skipped);
}

static void scribble(shmflow_consumer *consumer) {
    shmflow_frame *frame;
    OK(shmflow_consumer_receive(consumer, 30000, &frame));
    CHECK(shmflow_frame_is_copy(frame) == 0);
    unsigned char *bytes = (unsigned char *)shmflow_frame_private_data(frame);
    if (bytes == NULL) {
        printf("not to be written\n");
        shmflow_frame_release(frame);
        return;
    }
    size_t length = shmflow_frame_length(frame);
    memset(bytes, '!', length);
    unsigned char *copy = (unsigned char *)malloc(length);
    CHECK(copy != NULL && shmflow_frame_copy(frame, copy, length) == length);
    printf("reads %c, others %c\n", *(const char *)shmflow_frame_data(frame), copy[length - 1]);
    free(copy);
    shmflow_frame_release(frame);
}

static void expect(shmflow_consumer *consumer) {
    shmflow_consumer_stats stats;
    do {
        shmflow_frame *frame;
        OK(shmflow_consumer_receive(consumer, 30000, &frame));
        shmflow_frame_release(frame);
        OK(shmflow_consumer_get_stats(consumer, &stats, sizeof stats));
    } while (stats.expected < 3);
    printf("expected\n");
}

int main(int count, char **words) {
    CHECK(count >= 2);
    shmflow_consumer_options options;
    OK(shmflow_consumer_options_init(&options, sizeof options));
    for (int i = 2; i < count; i++) {
        option(&options, words[i]);
    }
    shmflow_consumer *consumer;
    OK(shmflow_consumer_open(words[1], &options, &consumer));
    printf("ready\n");
    fflush(stdout);
    char line[16];
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strcmp(line, "scribble\n") == 0) {
            scribble(consumer);
        } else if (strcmp(line, "expect\n") == 0) {
            expect(consumer);
        } else {
            take(consumer);
        }
        fflush(stdout);
    }
    shmflow_consumer_close(consumer);
    return 0;
}
