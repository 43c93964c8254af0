/*
 * The frames that the server and this program say to each other; shared/providers/local/frames.ts has the whole of it.
 */
#ifndef ERRAND_FRAMES_H
#define ERRAND_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#define PROTOCOL 4
#define WINDOW_BYTES (1024 * 1024)
#define MOST_FRAME_BYTES (256u * 1024 * 1024)

enum frame_kind {
  FRAME_PREPARE = 1,
  FRAME_EXECUTE = 2,
  FRAME_STDIN = 3,
  FRAME_STDIN_END = 4,
  FRAME_CREDIT = 5,
  FRAME_SIGNAL = 6,
  FRAME_STOP = 7,
  FRAME_RESIZE = 8,
  FRAME_READY = 16,
  FRAME_STARTED = 17,
  FRAME_STDOUT = 18,
  FRAME_STDERR = 19,
  FRAME_STDIN_TAKEN = 20,
  FRAME_END = 21,
};

struct frame {
  uint8_t kind;
  uint32_t run;
  const uint8_t *payload; /* valid until the next call of input_fill */
  size_t length;
};

uint32_t read_u32(const uint8_t *bytes);
void write_u32(uint8_t *bytes, uint32_t value);

/** Reads once from the server. 0: it is gone. */
int input_fill(void);

/** 1 and a frame, 0: more is needed for one, -1: what comes cannot be frames. */
int input_next(struct frame *frame);

void send_frame(uint8_t kind, uint32_t run, const void *payload, size_t length);
void send_number(uint8_t kind, uint32_t run, uint32_t value);

/** Reads what is there of a command's output, `most` at most, straight into a frame. As read(2). */
long send_read(uint8_t kind, uint32_t run, int fd, size_t most);

/** Writes what was said in this turn. Waits for the server, which always reads. 0: it is gone. */
int output_flush(void);

#endif
