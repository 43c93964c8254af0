/* Isolation `process`: a user of its own where we are root, no new privileges, limits. */
#ifndef ERRAND_WALLS_H
#define ERRAND_WALLS_H

#include <stdint.h>
#include <sys/types.h>

/** What this machine gives, as `ready` tells it. */
enum ability {
  ABLE_PROCESS = 1,   /* isolation `process` */
  ABLE_OWN_USER = 2,  /* each command of it gets a user of its own */
  ABLE_LIMITS = 4,    /* memory and processor can be limited, by control groups */
  ABLE_SANDBOX = 8,   /* isolation `sandbox`; only told when it was asked for */
  ABLE_GROUPS = 16,   /* and control groups limit it */
  ABLE_TERMINALS = 32, /* commands can have a terminal */
};

/** Finds out what can be given. */
uint32_t walls_open(void);

/** A user that no command has now, nor had lately; 0 when commands run as who we are. */
uid_t walls_take_user(void);

/** The first of `most` users that commands of isolation `process` never get; 0: there are none. */
uid_t walls_reserved_users(uint32_t most);

/** What a command is confined to, from its start to its end. */
struct cage {
  uint32_t number; /* 0: none */
  int has_memory, has_cpu;
};

/** 0, or an errno. */
int cage_make(struct cage *cage, uint32_t memory_mib, uint32_t cpu_percent);

/** The files that a process writes itself into, with a NULL behind the last. They are this call's, until the next. */
const char *const *cage_entries(const struct cage *cage);

/** Whether the kernel killed for want of memory in it. */
int cage_ran_out_of_memory(const struct cage *cage);

/** Removes it, once it is empty. */
void cage_remove(struct cage *cage);

#endif
