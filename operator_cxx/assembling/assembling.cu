#include "operator_cxx/assembling/assembling_entries.h"
