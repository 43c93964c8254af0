/*
 * Isolation `sandbox`: commands in the boxes of box/. They are made by other processes, which are started with the first
 * command that wants one, and let go when none came for a while: whoever never asks pays nothing.
 */
#ifndef ERRAND_SANDBOX_H
#define ERRAND_SANDBOX_H

#include "faults.h"
#include "run.h"

/** Must be the first call of main: returns at once unless this process was started to make boxes, and then never. */
void sandbox_maker_main(int argc, char **argv);

/** What boxes are to be, from the arguments of this program. 0: one of them is not known. */
int sandbox_configure(int argc, char **argv);

/** Whether the arguments ask to find out if this machine gives boxes. */
int sandbox_is_asked_for(void);

/** Tries one in earnest. Returns abilities; none: and why, for a person, which stays ours. */
uint32_t sandbox_try(const char **why);

/** Prints on standard output what this machine gives, as JSON. 0: a box. */
int sandbox_report(void);

/** What epoll names it by. */
void *sandbox_source(void);
void sandbox_ready(void);

/** 0: no box can be given, and why. */
int sandbox_prepare(struct fault *fault);
void sandbox_execute(struct run *run);
void sandbox_signal(struct run *run, int signal);

/** It waits no more. */
void sandbox_stop_waiting(struct run *run);

/** TERM to all of it; sandbox_kill is due at run->look_at. */
void sandbox_stop(struct run *run);
void sandbox_kill(struct run *run, uint64_t now);

/** When the next call is due, in the time of now_ms. */
uint64_t sandbox_tend(uint64_t now);

/** Ends all that is in boxes, and waits for that. */
void sandbox_close(void);

#endif
