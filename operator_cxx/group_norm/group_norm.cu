#include "operator_cxx/group_norm/group_norm_entries.h"
