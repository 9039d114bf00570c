"""The words of figures and tables, in each language of the report."""

from __future__ import annotations

from collections.abc import Mapping

from fer_lib.emotions import LANGUAGES
from fer_lib.errors import InputError

_WORDS: dict[str, tuple[str, str]] = {
    # in the order of LANGUAGES: en, zh-TW
    "epoch": ("Epoch", "Epoch"),
    "best_epoch": ("best, epoch {epoch}: {value:.1%}", "最佳：第 {epoch} 個 epoch，{value:.1%}"),
    "accuracy": ("Accuracy", "準確率"),
    "loss": ("Loss", "Loss"),
    "training": ("Training", "訓練"),
    "validation": ("Validation", "驗證"),
    "test": ("Test", "測試"),
    "public": ("Public", "Public"),
    "private": ("Private", "Private"),
    "average": ("Average", "平均"),
    "interval": ("95% interval", "95% 信賴區間"),
    "low": ("Low", "下限"),
    "high": ("High", "上限"),
    "split": ("Faces", "資料"),
    "model": ("Model", "模型"),
    "cnn": ("CNN", "CNN"),
    "dnn": ("DNN", "DNN"),
    "ensemble": ("Ensemble", "Ensemble"),
    "compact": ("Compact CNN", "精簡 CNN"),
    "layer": ("Layer", "層"),
    "type": ("Type", "類型"),
    "output_shape": ("Output shape", "輸出形狀"),
    "parameters": ("Parameters", "參數量"),
    "total": ("Total", "總計"),
    "multiply_adds": ("Multiply-adds", "乘加運算次數"),
    "mega_multiply_adds": ("Million multiply-adds", "每張圖片的乘加（百萬次）"),
    "thousand_predictions": ("CPU s / 1,000 predictions", "每千張預測的 CPU 秒"),
    "optimizer": ("Optimizer", "最佳化器"),
    "learning_rate": ("Learning rate", "學習率"),
    "batch_size": ("Batch size", "批次大小"),
    "epochs": ("Epochs", "Epoch 數"),
    "seconds": ("Seconds", "秒"),
    "seconds_per_epoch": ("CPU s / epoch", "每 epoch CPU 秒"),
    "emotion": ("Emotion", "情緒"),
    "true_emotion": ("True emotion", "真實情緒"),
    "predicted_emotion": ("Predicted emotion", "預測情緒"),
    "true": ("True", "真實"),
    "predicted": ("Predicted", "預測"),
    "confusion_matrix": ("Confusion matrix", "混淆矩陣"),
    "share_of_true": ("Share of the true emotion, and number of faces", "占真實情緒的比例與人臉數"),
    "share_of_predicted": ("Share of the predicted emotion, and number of faces", "占預測情緒的比例與人臉數"),
    "count": ("Count", "數量"),
    "pair": ("A and B", "A 與 B"),
    "forward": ("A taken for B", "A 判成 B"),
    "backward": ("B taken for A", "B 判成 A"),
    "precision": ("Precision", "精確率"),
    "recall": ("Recall", "召回率"),
    "f1": ("F1", "F1"),
    "mean": ("Mean", "平均"),
    "confidence": ("Probability of the answer", "答案的機率"),
    "right": ("Right answers", "答對的比例"),
    "answers": ("Answers", "答案數"),
    "perfect": ("as sure as right", "信心等於準確率"),
    "comma": (", ", "、"),
    "share": ("Share", "比例"),
    "faces": ("Number", "張數"),
    "probability": ("Probability", "機率"),
    "mean_probability": ("Mean probability", "平均機率"),
    "mean_face": ("Mean face, regions", "平均臉與區域"),
    "original": ("Original", "原圖"),
    "saliency": ("Saliency map", "Saliency map"),
    "masked": ("Low heat masked", "遮蔽低熱度區域"),
    "heat": ("Heat (1: the hottest 1% of pixels)", "熱度（1：最熱的 1% 像素）"),
    "for_answer": ("For the answer", "支持答案"),
    "for_true": ("For the true one", "支持正解"),
    "method": ("Method", "方法"),
    "gradient": ("Gradient", "Gradient"),
    "smoothgrad": ("SmoothGrad", "SmoothGrad"),
    "gradient_input": ("Gradient × input", "Gradient × input"),
    "integrated_gradients": ("Integrated gradients", "Integrated gradients"),
    "grad_cam": ("Grad-CAM", "Grad-CAM"),
    "occlusion": ("Occlusion", "遮擋法"),
    "rise": ("RISE", "RISE"),
    "random": ("Random order", "隨機順序"),
    "deletion": ("Deletion", "刪除"),
    "insertion": ("Insertion", "插入"),
    "shuffling": ("Shuffled weights", "打亂權重"),
    "pixels_removed": ("Pixels removed", "移除的像素"),
    "pixels_back": ("Pixels put back", "放回的像素"),
    "layers_shuffled": ("Layers shuffled, last first", "打亂的層（由後往前）"),
    "rank_correlation": ("Rank correlation", "等級相關"),
    "deletion_area": ("Deletion ↓", "刪除 ↓"),
    "insertion_area": ("Insertion ↑", "插入 ↑"),
    "kept": ("After shuffling ↓", "打亂後 ↓"),
    "on_features": ("Heat on features ↑", "五官熱度 ↑"),
    "region": ("Region", "區域"),
    "brows": ("Brows", "眉毛"),
    "eyes": ("Eyes", "眼睛"),
    "nose": ("Nose", "鼻子"),
    "mouth": ("Mouth", "嘴巴"),
    "photo": ("Own photo", "自己的照片"),
    "no_face": (
        "No face was found in the photograph, so its middle is shown.",
        "照片裡找不到臉，因此取中間的部分。",
    ),
    "masked_share": ("Keep", "保留比例"),
    "plain": ("plain", "無限制"),
    "regularised": ("regularised", "正則化"),
    "fourier": ("Fourier", "Fourier"),
    "trained": ("trained", "訓練後"),
    "untrained": ("untrained", "未訓練"),
    "changed_face": ("changed face", "改過的臉"),
    "change": ("change × {times}", "改變量 × {times}"),
    "noise": ("start", "起點"),
    "filter": ("Filter", "Filter"),
    "activation": ("Activation", "活化值"),
    "dead": ("inactive", "未活化"),
    "rank": ("Rank", "名次"),
    "point": ("Point", "編號"),
    "run": ("Run", "執行編號"),
    "error": ("Error", "錯誤"),
    "models": ("Models", "模型"),
    "front": ("No cheaper model is as good", "沒有更省又一樣準的模型"),
    "cpu_seconds": ("CPU seconds of training", "訓練的 CPU 秒數"),
    "validation_accuracy": ("Validation accuracy", "驗證準確率"),
    "step": ("Step", "步數"),
}


def written(value: str | float, spec: str = "") -> str:
    """A number as print has it, with a true minus sign; a text as it is.

    Raises:
        ValueError: The format does not fit.
    """
    text = format(value, spec)
    is_negative = not isinstance(value, str) and text.startswith("-")
    return "\N{MINUS SIGN}" + text[1:] if is_negative else text


def words(language: str) -> Mapping[str, str]:
    """The words of a language by key.

    Raises:
        InputError: There is no such language.
    """
    if language not in LANGUAGES:
        raise InputError(f"There is no language {language!r}; the languages are {', '.join(LANGUAGES)}.")
    column = LANGUAGES.index(language)
    return {key: entry[column] for key, entry in _WORDS.items()}
