#include "frames.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER_BYTES 9
/* Frames of this size and more do not stay in memory once they were read. */
#define USUAL_INPUT_BYTES (128 * 1024)
#define OUTPUT_BYTES (512 * 1024)

uint32_t read_u32(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

void write_u32(uint8_t *bytes, uint32_t value) {
  bytes[0] = (uint8_t)(value >> 24);
  bytes[1] = (uint8_t)(value >> 16);
  bytes[2] = (uint8_t)(value >> 8);
  bytes[3] = (uint8_t)value;
}

static struct {
  uint8_t *bytes;
  size_t at, end, room;
} input;

/* Of the frame that comes next, as far as its length is known. */
static size_t bytes_needed(void) {
  size_t have = input.end - input.at;
  return have < 4 ? HEADER_BYTES : 4 + (size_t)read_u32(input.bytes + input.at);
}

static void input_make_room(void) {
  size_t have = input.end - input.at;
  size_t need = bytes_needed();
  size_t room = need > USUAL_INPUT_BYTES ? need : USUAL_INPUT_BYTES;
  if (room > MOST_FRAME_BYTES + 4) room = MOST_FRAME_BYTES + 4; /* input_next refuses it */
  if (room != input.room && (room > input.room || have <= USUAL_INPUT_BYTES)) {
    uint8_t *bytes = malloc(room);
    if (!bytes) abort(); /* the server sees its helper die, and says so of each run */
    if (have > 0) memcpy(bytes, input.bytes + input.at, have);
    free(input.bytes);
    input.bytes = bytes;
    input.room = room;
  } else if (input.at > 0) {
    memmove(input.bytes, input.bytes + input.at, have);
  }
  input.at = 0;
  input.end = have;
}

int input_fill(void) {
  input_make_room();
  ssize_t got = read(STDIN_FILENO, input.bytes + input.end, input.room - input.end);
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  input.end += (size_t)got;
  return got > 0;
}

int input_next(struct frame *frame) {
  size_t have = input.end - input.at;
  if (have < 4) return 0;
  const uint8_t *bytes = input.bytes + input.at;
  uint32_t length = read_u32(bytes);
  if (length < HEADER_BYTES - 4 || length > MOST_FRAME_BYTES) return -1;
  if (have < 4 + (size_t)length) return 0;
  frame->kind = bytes[4];
  frame->run = read_u32(bytes + 5);
  frame->payload = bytes + HEADER_BYTES;
  frame->length = length - (HEADER_BYTES - 4);
  input.at += 4 + (size_t)length;
  return 1;
}

static struct {
  uint8_t bytes[OUTPUT_BYTES];
  size_t length;
  int is_closed;
} output;

static int write_all(const uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t written = write(STDOUT_FILENO, bytes, length);
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return 0;
      struct pollfd room = {.fd = STDOUT_FILENO, .events = POLLOUT};
      poll(&room, 1, -1);
      continue;
    }
    bytes += written;
    length -= (size_t)written;
  }
  return 1;
}

int output_flush(void) {
  if (!output.is_closed && output.length > 0 && !write_all(output.bytes, output.length)) output.is_closed = 1;
  output.length = 0;
  return !output.is_closed;
}

static void put_header(uint8_t *at, uint8_t kind, uint32_t run, size_t length) {
  write_u32(at, (uint32_t)(HEADER_BYTES - 4 + length));
  at[4] = kind;
  write_u32(at + 5, run);
}

void send_frame(uint8_t kind, uint32_t run, const void *payload, size_t length) {
  if (HEADER_BYTES + length > OUTPUT_BYTES - output.length) output_flush();
  put_header(output.bytes + output.length, kind, run, length);
  output.length += HEADER_BYTES;
  if (length > OUTPUT_BYTES - output.length) {
    output_flush();
    if (!output.is_closed && !write_all(payload, length)) output.is_closed = 1;
    return;
  }
  if (length > 0) memcpy(output.bytes + output.length, payload, length);
  output.length += length;
}

void send_number(uint8_t kind, uint32_t run, uint32_t value) {
  uint8_t payload[4];
  write_u32(payload, value);
  send_frame(kind, run, payload, sizeof payload);
}

long send_read(uint8_t kind, uint32_t run, int fd, size_t most) {
  if (HEADER_BYTES + most > OUTPUT_BYTES - output.length) output_flush();
  uint8_t *at = output.bytes + output.length;
  ssize_t got = read(fd, at + HEADER_BYTES, most);
  if (got <= 0) return got;
  put_header(at, kind, run, (size_t)got);
  output.length += HEADER_BYTES + (size_t)got;
  return got;
}
