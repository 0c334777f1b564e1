/* Prints what GStreamer computes for its own untiled formats; the output is video_formats.txt beside this file.
 *
 *   cc video_formats.c $(pkg-config --cflags --libs gstreamer-video-1.0) -o /tmp/formats && /tmp/formats > video_formats.txt
 *
 * A line is: format width height, then offset:stride:rows:bytes for each plane, where "bytes" is what the pixels of a
 * row reach at least, and 0 where components are not byte-aligned.
 */
#include <gst/video/video.h>
#include <stdio.h>

static void plane(const GstVideoInfo *info, guint plane) {
  gint bytes = 0, rows = 0;
  for (guint c = 0; c < GST_VIDEO_INFO_N_COMPONENTS(info); c++) {
    if (GST_VIDEO_INFO_COMP_PLANE(info, c) != plane)
      continue;
    gint step = GST_VIDEO_INFO_COMP_PSTRIDE(info, c);
    gint depth = (GST_VIDEO_INFO_COMP_DEPTH(info, c) + 7) / 8;
    if (step > 0)
      bytes = MAX(bytes, (GST_VIDEO_INFO_COMP_WIDTH(info, c) - 1) * step + GST_VIDEO_INFO_COMP_POFFSET(info, c) + depth);
    rows = MAX(rows, GST_VIDEO_INFO_COMP_HEIGHT(info, c));
  }
  printf(" %zu:%d:%d:%d", info->offset[plane], info->stride[plane], rows, bytes);
}

int main(void) {
  static const gint sizes[][2] = {{1, 1}, {2, 2}, {3, 5}, {7, 6}, {13, 11}, {48, 32}, {321, 241}};
  gst_init(NULL, NULL);
  for (gint format = GST_VIDEO_FORMAT_I420;; format++) {
    const GstVideoFormatInfo *about = gst_video_format_get_info(format); /* a warning and NULL after the last one */
    if (about == NULL)
      return 0;
    if (GST_VIDEO_FORMAT_INFO_IS_TILED(about) || GST_VIDEO_FORMAT_INFO_HAS_PALETTE(about))
      continue;
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
      GstVideoInfo info;
      if (!gst_video_info_set_format(&info, format, sizes[i][0], sizes[i][1]))
        continue;
      printf("%s %d %d", GST_VIDEO_FORMAT_INFO_NAME(about), sizes[i][0], sizes[i][1]);
      for (guint p = 0; p < GST_VIDEO_INFO_N_PLANES(&info); p++)
        plane(&info, p);
      printf("\n");
    }
  }
}
