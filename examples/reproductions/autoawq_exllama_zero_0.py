"""AutoAWQ's repacking for ExLlama takes 1 from every zero point, and a zero point of 0 borrows from its neighbours."""

import torch
from awq.utils.packing_utils import AWQ_ORDER, unpack_reorder_pack

zeros = [8, 0, 8, 8, 0, 0, 3, 9]  # of eight columns
word = sum(zeros[column] << 4 * nibble for nibble, column in enumerate(AWQ_ORDER))  # as an AWQ file stores them
qzeros = torch.tensor([[word]], dtype=torch.int64).to(torch.int32)
packed = unpack_reorder_pack(torch.zeros(8, 1, dtype=torch.int32), qzeros, 4)[1].item()
got = [(packed >> 4 * i & 15) + 1 & 15 for i in range(8)]  # ExLlama adds 1 to each field
print("expected", zeros)
print("got     ", got)
