/* What the library says: the text of the last error, and the log. */
#include "check.h"

static char said[100][512];
static int levels[100];
static int lines = 0;

/* Any function may be called here; what it does is not told. */
static void note(int level, const char *message, void *user) {
    CHECK(user == &lines && strlen(message) < sizeof said[0]);
    if (lines < 100) {
        levels[lines] = level;
        strcpy(said[lines++], message);
    }
    shmflow_producer *none;
    GIVES(SHMFLOW_INVALID_TOPIC_NAME, shmflow_producer_open("", NULL, &none));
}

/* Whether a line has both, and how it came. */
static int was_said(int level, const char *one, const char *two) {
    for (int i = 0; i < lines; i++) {
        if (levels[i] == level && strstr(said[i], one) != NULL && strstr(said[i], two) != NULL) {
            return 1;
        }
    }
    return 0;
}

static shmflow_status fails(const char *topic) {
    shmflow_consumer *none;
    return shmflow_consumer_open(topic, NULL, &none);
}

int main(void) {
    /* In whichever order the arguments are evaluated, and also for the first error of all. */
    char line[1000];
    const char *names[] = {"nobody/first", "nobody/a-longer-name-than-the-first", "nobody/3"};
    for (int i = 0; i < 3; i++) {
        snprintf(line, sizeof line, "%s: %s", shmflow_status_name(fails(names[i])), shmflow_last_error_message());
        CHECK(strstr(line, "SHMFLOW_TOPIC_NOT_FOUND: ") == line && strstr(line, names[i]) != NULL);
    }
    const char *early = shmflow_last_error_message();
    GIVES(SHMFLOW_INVALID_TOPIC_NAME, fails(""));
    CHECK(early == shmflow_last_error_message() && strstr(early, "name") != NULL);

    GIVES(SHMFLOW_INVALID_ARGUMENT, shmflow_set_log(7, note, &lines));
    OK(shmflow_set_log(SHMFLOW_LOG_DEBUG, note, &lines));
    shmflow_producer *producer;
    shmflow_consumer *consumer;
    OK(shmflow_producer_open("logged", NULL, &producer));
    OK(shmflow_consumer_open("logged", NULL, &consumer));
    CHECK(was_said(SHMFLOW_LOG_DEBUG, "logged", "consumer attached"));
    for (int i = 0; i < 100; i++) {
        OK(shmflow_producer_write(producer, "x", 1, NULL, NULL));
    }
    shmflow_frame *frame;
    OK(shmflow_consumer_receive(consumer, 0, &frame));
    CHECK(shmflow_frame_lost_before(frame) > 0 && was_said(SHMFLOW_LOG_INFO, "frames were lost", "frames "));
    shmflow_frame_release(frame);

    /* Less of it, and nothing. */
    OK(shmflow_set_log(SHMFLOW_LOG_INFO, note, &lines));
    lines = 0;
    shmflow_consumer_close(consumer);
    OK(shmflow_consumer_open("logged", NULL, &consumer));
    CHECK(lines == 0);
    OK(shmflow_set_log(SHMFLOW_LOG_OFF, NULL, NULL));
    char large[200000] = {0};
    OK(shmflow_producer_write(producer, large, sizeof large, NULL, NULL));
    CHECK(lines == 0);
    shmflow_consumer_close(consumer);
    shmflow_producer_close(producer);
    puts("done");
    return 0;
}
