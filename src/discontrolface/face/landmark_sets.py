"""Named parts of MediaPipe's 468-point face mesh, as indices into `Landmarks.points`.

LEFT and RIGHT are the subject's: in an upright photo the subject's right eye lies at the image's left.
Contours are ordered: rings run around, brows and lids run from the outer to the inner end.
Source: MediaPipe's canonical face model (Apache-2.0) and its published connection lists.
"""

from typing import Final

# Corner to corner: the lower lid from the outer corner to the inner one, then the upper lid without the corners.
RIGHT_EYE: Final = (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173)
LEFT_EYE: Final = (263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398)
# The skin of the lids around that, from the outer end: above, then below.
RIGHT_LIDS: Final = (247, 30, 29, 27, 28, 56, 190, 25, 110, 24, 23, 22, 26, 112)
LEFT_LIDS: Final = (467, 260, 259, 257, 258, 286, 414, 255, 339, 254, 253, 252, 256, 341)
RIGHT_EYE_CORNERS: Final = (33, 133)  # outer, inner
LEFT_EYE_CORNERS: Final = (263, 362)

# Upper edge of the brow from its outer end, then its lower edge.
RIGHT_BROW: Final = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55)
LEFT_BROW: Final = (300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
# Skin without marks, where the mesh is guessed more than seen: above the brows, and between brow and lid.
FOREHEAD: Final = (10, 54, 67, 68, 69, 103, 104, 108, 109, 151, 284, 297, 298, 299, 332, 333, 337, 338)
BELOW_BROWS: Final = (
    27, 28, 29, 30, 56, 113, 124, 139, 156, 162, 221, 225, 257, 258, 259, 260, 286, 342, 353, 368, 383, 389, 441, 445,
)  # fmt: skip

# Rings from the subject's right mouth corner over the lower lip to the left corner and back over the upper lip.
LIPS_OUTER: Final = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
LIPS_INNER: Final = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
MOUTH_CORNERS: Final = (61, 291)  # subject's right, left

BELOW_LIPS: Final = (  # chin and jaw, bare skin too
    18, 32, 83, 136, 140, 148, 149, 150, 152, 169, 170, 171, 175, 176, 194, 199, 200, 201, 204, 208, 211, 262, 313, 365, 369, 377, 378, 379,
    394, 395, 396, 400, 418, 421, 424, 428, 431,
)  # fmt: skip

NOSE_TIP: Final = 1
CHIN: Final = 152

# A ring from the top of the forehead by the subject's left side to the chin and back up the right side.
FACE_OVAL: Final = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip

# The 68 points of the iBUG / 300-W markup as the nearest points of the mesh: jaw 0-16 (image's left to right), brows 17-26,
# nose 27-35, eyes 36-47, outer lips 48-59, inner lips 60-67. The mesh's jaw points lie on the visible cheek line.
IBUG_68: Final = (
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
