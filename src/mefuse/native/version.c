/* Tells which sources the kernels were built of, so that others are not taken for them. */
#include "planes.h"

EXPORT unsigned mefuse_sources(void) { return MEFUSE_SOURCES; }
