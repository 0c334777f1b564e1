/* flow.h: the classic interface of three calls, in libshmflow.
 *
 * A program that was written for it runs with this library in place of the one it was linked with. New programs should
 * use shmflow.h: it returns errors, reads in place, carries metadata, and can wait.
 *
 * The three calls use one topic at a time: the one of the last init_flow. They print errors in one line on the standard
 * error output, at most once a second, or give it to the function of shmflow_set_log. Any thread may call them.
 */
#ifndef SHMFLOW_FLOW_H
#define SHMFLOW_FLOW_H

#ifdef __cplusplus
extern "C" {
#endif

/* Sets the topic, and the size of its ring in bytes. Nothing is created before the first write, since only then the size
 * of an image is known: the ring holds size / (image + 8) images, at least 1, and has room for two more that are being
 * written. If not even one image fits, the first write says so, and how much memory is taken. An existing topic is joined,
 * whichever program created it, and whatever its size is. A program may switch to another topic, and back: it continues
 * where it was.
 */
void init_flow(const char *topic, int size);

/* Publishes an image of size bytes. It stays after this program has ended, until the topic is removed (with the command
 * `shmflow rm`).
 */
void write_data(const char *data, int size);

/* Copies the next image to buffer, which has room for the size that was given to init_flow; never more is written.
 * Returns 0 when there is nothing new, else 1, and buffer holds:
 *   4 bytes, big-endian: the number of bytes in all, these 8 included
 *   4 bytes, big-endian: the id of the image, which rises by one with each write, from 1
 *   the image
 * The first call gets the oldest image in the ring, each following call the next one, and a call that comes too late the
 * oldest that is left.
 */
int read_data(char *buffer);

#ifdef __cplusplus
}
#endif

#endif
