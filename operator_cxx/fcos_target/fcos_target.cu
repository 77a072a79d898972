#include "operator_cxx/fcos_target/fcos_target_entries.h"
