/* What a run is told to be: the payload of `prepare`. */
#ifndef ERRAND_SPEC_H
#define ERRAND_SPEC_H

#include <stddef.h>
#include <stdint.h>

struct spec {
  char *key;            /* the value of ERRAND_ATTEMPT */
  char *work_directory; /* made for the run, and removed after it; a sandbox has its own */
  char *cwd;            /* or NULL: work_directory */
  char **argv, **envp;
  int has_stdin;
  uint32_t terminal;    /* rows << 16 | columns; 0: it has none */
  int is_process_level; /* isolation `process` */
  int is_sandbox_level; /* isolation `sandbox` */
  int has_nul;          /* a text holds a NUL byte, so that it cannot be handed to a program */
  uint32_t grace_ms;
  uint32_t memory_mib;  /* 0: no limit */
  uint32_t cpu_percent; /* of one core; 0: no limit */
  uint8_t *bytes;       /* that the texts lie in */
};

/** 0 when the payload is malformed; nothing is kept then. */
int spec_read(struct spec *spec, const uint8_t *payload, size_t length);
void spec_free(struct spec *spec);

/** The value of a variable of the run's own environment, or NULL. */
const char *spec_variable(const struct spec *spec, const char *name);

/** Where the command is to work, as it sees it. */
const char *spec_folder(const struct spec *spec);

#endif
