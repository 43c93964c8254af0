/* What a process has of the one that started it. */
#ifndef ERRAND_INHERITANCE_H
#define ERRAND_INHERITANCE_H

/** Closes all descriptors but the three standard ones. */
void close_inherited(void);

/** Nothing of whoever started us may reach a command: descriptors, and what it does at signals. */
void clean_up_inheritance(void);

#endif
