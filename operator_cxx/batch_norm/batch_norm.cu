#include "operator_cxx/batch_norm/batch_norm_entries.h"
