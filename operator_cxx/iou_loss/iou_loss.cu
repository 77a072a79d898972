#include "operator_cxx/iou_loss/iou_loss_entries.h"
