/* Forgets a frame: what the test of memory is to notice. */
#include "check.h"

int main(void) {
    shmflow_producer *producer;
    shmflow_consumer *consumer;
    OK(shmflow_producer_open("leak", NULL, &producer));
    OK(shmflow_consumer_open("leak", NULL, &consumer));
    OK(shmflow_producer_write(producer, "x", 1, NULL, NULL));
    shmflow_frame *frame;
    OK(shmflow_consumer_try_receive(consumer, &frame));
    frame = NULL;
    shmflow_consumer_close(consumer);
    shmflow_producer_close(producer);
    return 0;
}
