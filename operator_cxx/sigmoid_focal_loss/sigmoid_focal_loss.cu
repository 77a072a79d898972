#include "operator_cxx/sigmoid_focal_loss/sigmoid_focal_loss_entries.h"
