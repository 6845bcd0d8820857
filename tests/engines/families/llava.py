"""LLaVA's descendants."""

from __future__ import annotations

from .parts import SIDE, SIGLIP, SQUARE, family, ids, text

CLIP = {"model_type": "clip_vision_model", **SIDE, "image_size": 28, "patch_size": 7}


@family
def llava_next(make, layers):
    import transformers as t

    tokenizer = make()
    config = t.LlavaNextConfig(
        text_config=text(tokenizer, layers),
        vision_config=CLIP,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=[[28, 56], [56, 28]],
        vision_feature_layer=-1,
    )
    images = t.LlavaNextImageProcessor(
        size={"shortest_edge": 28}, crop_size=SQUARE, image_grid_pinpoints=[[28, 56], [56, 28]]
    )
    processor = t.LlavaNextProcessor(
        images, tokenizer, patch_size=7, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return t.LlavaNextForConditionalGeneration(config), processor, "<image>"


@family
def llava_onevision(make, layers):
    import transformers as t

    tokenizer = make()
    config = t.LlavaOnevisionConfig(
        text_config=text(tokenizer, layers, model_type="qwen2"),
        vision_config=SIGLIP,
        image_grid_pinpoints=[[28, 56], [56, 28]],
        **ids(tokenizer, image_token_id="<image>", video_token_id="<video>"),
    )
    config.image_token_index = config.image_token_id
    images = t.LlavaOnevisionImageProcessor(size=SQUARE, image_grid_pinpoints=[[28, 56], [56, 28]])
    processor = t.LlavaOnevisionProcessor(
        images, tokenizer, t.LlavaOnevisionVideoProcessor(), num_image_tokens=16, vision_feature_select_strategy="full"
    )
    return t.LlavaOnevisionForConditionalGeneration(config), processor, "<image>"


@family
def vipllava(make, layers):
    import transformers as t

    tokenizer = make()
    config = t.VipLlavaConfig(
        text_config=text(tokenizer, layers),
        vision_config=CLIP,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layers=[-1, -2],
    )
    images = t.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=SQUARE)
    processor = t.LlavaProcessor(
        images, tokenizer, patch_size=7, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return t.VipLlavaForConditionalGeneration(config), processor, "<image>"


@family
def llava_next_video(make, layers):
    import transformers as t

    tokenizer = make()
    config = t.LlavaNextVideoConfig(
        text_config=text(tokenizer, layers),
        vision_config=CLIP,
        image_grid_pinpoints=[[28, 56], [56, 28]],
        vision_feature_layer=-1,
        **ids(tokenizer, image_token_index="<image>", video_token_index="<video>"),
    )
    images = t.LlavaNextImageProcessor(
        size={"shortest_edge": 28}, crop_size=SQUARE, image_grid_pinpoints=[[28, 56], [56, 28]]
    )
    processor = t.LlavaNextVideoProcessor(
        t.LlavaNextVideoVideoProcessor(), images, tokenizer, patch_size=7, vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )  # fmt: skip
    return t.LlavaNextVideoForConditionalGeneration(config), processor, "<image>"
