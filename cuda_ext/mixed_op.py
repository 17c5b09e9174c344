"""Fused operators and their PyTorch references."""

import torch
import torch.nn.functional as F


def _pool(v):
    return F.avg_pool2d(v, 3, stride=1, padding=1, count_include_pad=False)


def training_node(v, y1, y3, w, *, eps=1e-5, impl="auto"):
    out, means, variances = 0, [], []
    for s in range(len(v)):
        out = out + w[s, 1] * v[s] + w[s, 4] * _pool(v[s])
        for k, y in ((2, y1[s]), (3, y3[s])):
            var, mean = torch.var_mean(y, dim=(0, 2, 3), correction=0, keepdim=True)
            out = out + w[s, k] * (y - mean) * torch.rsqrt(var + eps)
            means.append(mean.detach().flatten())
            variances.append(var.detach().flatten())
    shape = (len(v), 2, -1)
    return out, torch.stack(means).view(shape), torch.stack(variances).view(shape)


def attack_node(v, z, w, bias, *, relu=True, impl="auto"):
    out = bias[:, None, None]
    for s in range(len(v)):
        out = out + w[s, 0] * v[s] + w[s, 1] * _pool(v[s]) + z[s]
    return out, F.relu(out)


def attack_step(x_adv, grad, x, *, eps, step_size, impl="auto"):
    with torch.no_grad():
        x_adv.add_(grad.sign(), alpha=step_size)
        if eps is not None:
            x_adv.copy_(torch.minimum(torch.maximum(x_adv, x - eps), x + eps))
        return x_adv.clamp_(0, 1)
