#include "operator_cxx/ml_nms/ml_nms_entries.h"
