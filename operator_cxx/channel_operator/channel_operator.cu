#include "operator_cxx/channel_operator/channel_operator_entries.h"
