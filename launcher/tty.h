/* A pseudo-terminal (pty(7)): the command has one side, we the other. */
#ifndef ERRAND_TTY_H
#define ERRAND_TTY_H

#include <stdint.h>
#include <sys/types.h>

/** Our side of a new one of that size, which does not block; and the command's, which `owner` may open by name (0: us). -1: errno tells why not. */
int tty_open(uint32_t size, uid_t owner, int *theirs);

/** Whether it is rows << 16 | columns, neither of them zero. */
int tty_is_size(uint32_t size);

/** Programs hear of it by SIGWINCH. */
void tty_resize(int ours, uint32_t size);

/** As if the end-of-file key was pressed, once; nothing where the program reads keys as they are. */
void tty_end_input(int ours);

/** Whether this machine gives any. */
int tty_is_given(void);

#endif
