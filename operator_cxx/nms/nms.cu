#include "operator_cxx/nms/nms_entries.h"
