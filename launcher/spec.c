#include "spec.h"

#include "frames.h"

#include <stdlib.h>
#include <string.h>

#define FLAG_STDIN 1
#define FLAG_CWD 2
#define FLAG_PROCESS_LEVEL 4
#define FLAG_SANDBOX_LEVEL 8
#define KNOWN_FLAGS 15
#define FIXED_BYTES 17
#define SANDBOX_FOLDER "/work"

/* Texts are ended in place: where the length of the next one begins, which has been read by then. */
struct reader {
  uint8_t *at, *end;
  uint8_t *last_end;
  int has_failed, has_nul;
};

static void end_last(struct reader *reader) {
  if (reader->last_end) *reader->last_end = 0;
  reader->last_end = NULL;
}

static uint32_t take_number(struct reader *reader) {
  if (reader->has_failed || reader->end - reader->at < 4) {
    reader->has_failed = 1;
    return 0;
  }
  uint32_t value = read_u32(reader->at);
  reader->at += 4;
  end_last(reader);
  return value;
}

static char *take_text(struct reader *reader) {
  uint32_t length = take_number(reader);
  if (reader->has_failed || (size_t)(reader->end - reader->at) < length) {
    reader->has_failed = 1;
    return NULL;
  }
  uint8_t *text = reader->at;
  reader->at += length;
  reader->last_end = reader->at;
  if (memchr(text, 0, length)) reader->has_nul = 1;
  return (char *)text;
}

static char **take_texts(struct reader *reader) {
  uint32_t count = take_number(reader);
  /* Each takes four bytes at least, so that a wrong count cannot ask for more memory than was sent. */
  if (reader->has_failed || count > (size_t)(reader->end - reader->at) / 4) {
    reader->has_failed = 1;
    return NULL;
  }
  char **texts = calloc((size_t)count + 1, sizeof *texts);
  if (!texts) abort();
  for (uint32_t n = 0; n < count; n++) texts[n] = take_text(reader);
  return texts;
}

int spec_read(struct spec *spec, const uint8_t *payload, size_t length) {
  memset(spec, 0, sizeof *spec);
  if (length < FIXED_BYTES) return 0;
  spec->bytes = malloc(length + 1);
  if (!spec->bytes) abort();
  memcpy(spec->bytes, payload, length);
  uint8_t flags = spec->bytes[0];
  struct reader reader = {.at = spec->bytes + 1, .end = spec->bytes + length};
  spec->grace_ms = take_number(&reader);
  spec->memory_mib = take_number(&reader);
  spec->cpu_percent = take_number(&reader);
  spec->terminal = take_number(&reader);
  spec->key = take_text(&reader);
  spec->work_directory = take_text(&reader);
  spec->cwd = take_text(&reader);
  spec->argv = take_texts(&reader);
  spec->envp = take_texts(&reader);
  end_last(&reader);
  if (reader.has_failed || reader.at != reader.end || (flags & ~KNOWN_FLAGS) || !spec->argv[0] || !*spec->work_directory) {
    spec_free(spec);
    return 0;
  }
  spec->has_stdin = (flags & FLAG_STDIN) != 0;
  spec->is_process_level = (flags & FLAG_PROCESS_LEVEL) != 0;
  spec->is_sandbox_level = (flags & FLAG_SANDBOX_LEVEL) != 0;
  if (!(flags & FLAG_CWD)) spec->cwd = NULL;
  spec->has_nul = reader.has_nul;
  return 1;
}

void spec_free(struct spec *spec) {
  free(spec->argv);
  free(spec->envp);
  free(spec->bytes);
  memset(spec, 0, sizeof *spec);
}

const char *spec_variable(const struct spec *spec, const char *name) {
  size_t length = strlen(name);
  for (char **entry = spec->envp; *entry; entry++) {
    if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') return *entry + length + 1;
  }
  return NULL;
}

const char *spec_folder(const struct spec *spec) {
  if (spec->cwd) return spec->cwd;
  return spec->is_sandbox_level ? SANDBOX_FOLDER : spec->work_directory;
}
