/*
 * check - what the table cannot say: the form of an address, and values that contradict each other.
 */
#ifndef METRIC_STORE_CONFIG_CHECK_H
#define METRIC_STORE_CONFIG_CHECK_H

#include "config/config.h"

MUST_CHECK enum status check_config(const struct config *config, struct error *err);

#endif
