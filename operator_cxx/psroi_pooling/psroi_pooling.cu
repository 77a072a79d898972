#include "operator_cxx/psroi_pooling/psroi_pooling_entries.h"

int fullconv_psroi_pooling_fwd_cuda(const float* data, const float* rois, float* out, int n, int dim,
                                    int group, int pooled, int height, int width, int num_rois, float scale,
                                    void*, void* stream) {
  return fullconv_psroi_pooling_direct_fwd_cuda(data, rois, out, n, dim, group, pooled, height, width,
                                                num_rois, scale, stream);
}

int fullconv_psroi_pooling_bwd_cuda(const float* grad_out, const float* rois, float* grad_data, int n,
                                    int dim, int group, int pooled, int height, int width, int num_rois,
                                    float scale, void*, void* stream) {
  return fullconv_psroi_pooling_direct_bwd_cuda(grad_out, rois, grad_data, n, dim, group, pooled, height,
                                                width, num_rois, scale, stream);
}
