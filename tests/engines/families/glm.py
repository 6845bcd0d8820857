"""Zhipu's GLM."""

from __future__ import annotations

from .parts import QWEN_VISION, ROTARY, family, ids, text

GLM_IMAGES = {"size": {"shortest_edge": 28 * 28 * 2, "longest_edge": 28 * 28 * 2 * 12}}
GLM_IDS = {
    "image_token_id": "<|image|>", "video_token_id": "<|video|>", "image_start_token_id": "<|begin_of_image|>",
    "image_end_token_id": "<|end_of_image|>", "video_start_token_id": "<|begin_of_video|>",
    "video_end_token_id": "<|end_of_video|>",
}  # fmt: skip


def _glm(make, kind, text_config, vision=None, processor="Glm4v"):
    import transformers as t

    tokenizer = make(image_token="<|image|>", video_token="<|video|>", more=tuple(GLM_IDS.values()))
    config = getattr(t, f"{kind}Config")(
        text_config={**text(tokenizer, 3), "rope_parameters": {**ROTARY, "partial_rotary_factor": 1.0}, **text_config},
        vision_config={**QWEN_VISION, "patch_size": 14, "image_size": 56, **(vision or {})},
        **ids(tokenizer, **GLM_IDS),
    )
    made = getattr(t, f"{processor}Processor")(
        getattr(t, f"{processor}ImageProcessor")(**GLM_IMAGES), tokenizer, getattr(t, f"{processor}VideoProcessor")()
    )
    model = getattr(t, f"{kind}ForConditionalGeneration")(config)
    return model, made, "<|begin_of_image|><|image|><|end_of_image|>"


@family
def glm4v(make, layers):
    return _glm(make, "Glm4v", {"model_type": "glm4v_text"})


@family
def glm4v_moe(make, layers):
    moe = {
        "model_type": "glm4v_moe_text", "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2,
        "moe_intermediate_size": 32, "first_k_dense_replace": 1,
    }  # fmt: skip
    return _glm(make, "Glm4vMoe", moe)


@family
def glm46v(make, layers):
    import transformers as t

    tokenizer = make(image_token="<|image|>", video_token="<|video|>", more=tuple(GLM_IDS.values()))
    config = t.Glm46VConfig(
        text_config={**text(tokenizer, 3, model_type="glm4v_text"), "rope_parameters": {**ROTARY, "partial_rotary_factor": 1.0}},
        vision_config={"model_type": "glm4v_vision", **QWEN_VISION, "patch_size": 14, "image_size": 56},
        **ids(tokenizer, **GLM_IDS),
    )  # fmt: skip
    made = t.Glm46VProcessor(t.Glm46VImageProcessor(**GLM_IMAGES), tokenizer, t.Glm46VVideoProcessor())
    return t.Glm46VForConditionalGeneration(config), made, "<|begin_of_image|><|image|><|end_of_image|>"


@family
def glm_ocr(make, layers):
    return _glm(make, "GlmOcr", {"model_type": "glm_ocr_text"}, processor="Glm46V")
