#include "operator_cxx/deformable_conv/deformable_conv_entries.h"
